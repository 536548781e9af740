"""Small tools that know nothing of events: concurrency, histograms, rates."""
