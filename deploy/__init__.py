"""How EventHub is run: the files of its set-up, and the code that makes the dashboards."""
