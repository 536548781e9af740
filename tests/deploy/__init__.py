"""What deploys EventHub: the image, compose.yaml and what stands around it."""
