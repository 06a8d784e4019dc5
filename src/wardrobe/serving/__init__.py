"""The studio and the API."""
