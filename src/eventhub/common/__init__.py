"""Small tools that know nothing about events: concurrency, histograms, rates."""
