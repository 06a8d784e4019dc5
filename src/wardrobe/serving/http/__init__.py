"""HTTP between uvicorn and the routes.

- `connections`: uvicorn with limits on its connections, and its shutdown
- `content_encoding`: compressed request bodies
- `middleware`: access control, limits on requests, CORS, the path prefix of a proxy
"""
