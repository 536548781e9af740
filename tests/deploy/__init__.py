"""Tests of what deploys EventHub: the image, the chart, compose.yaml and the files around it."""
