"""`wardrobe serve`: the studio, which is a web page, and the API, without TensorFlow.

- `server`: start and stop
- `workers`: several processes on one port
- `settings`: access control and limits
- `http`: connections, compressed bodies, and what is applied to every request
- `metrics`: what `/metrics` reports
- `routes`: what each path answers
- `uploads`: request body → image files
- `protocols`: the Open Inference Protocol and the REST API of TensorFlow Serving
- `batching`: queues before the model and the threads
- `studio`: what the page shows of an image, as JSON
- `web/`, `openapi.json`: the page, and the description of the API
"""
