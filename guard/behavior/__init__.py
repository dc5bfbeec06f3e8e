"""What a request seems to be for, and how an identity behaves over time: off the request's path, hashes only."""
