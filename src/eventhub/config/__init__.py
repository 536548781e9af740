"""The settings, how they are read, and the page that documents them."""
