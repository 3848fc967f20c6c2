"""HTTP below the routes: how much is read of a request, and how long a connection may wait."""
