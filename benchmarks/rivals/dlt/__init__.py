"""dlt, with the file system as its destination."""
