"""server/http/request_queue.py: requests of one connection are answered in order."""
