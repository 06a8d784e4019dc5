# Two images:
#   docker build --target serve --tag wardrobe:serve .    the studio and the API, without TensorFlow
#   docker build --target scale --tag wardrobe:scale .    training and bulk classification, for Ray and Kubernetes
FROM python:3.12-slim AS build
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
WORKDIR /src

FROM build AS build-serve
COPY requirements/serve.txt requirements/
RUN pip install --no-cache-dir --require-hashes --requirement requirements/serve.txt
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

FROM build AS build-scale
COPY requirements/scale.txt requirements/
RUN pip install --no-cache-dir --require-hashes --requirement requirements/scale.txt
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.12-slim AS run
RUN useradd --uid 10001 --create-home wardrobe && mkdir /work && chown wardrobe /work
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /work

FROM run AS scale
# KubeRay starts Ray in a login shell, which has only the system's PATH, and its probes use wget.
RUN apt-get update && apt-get install --yes --no-install-recommends wget && rm -rf /var/lib/apt/lists/*
RUN ln -s /venv/bin/ray /venv/bin/wardrobe /usr/local/bin/
COPY --from=build-scale /venv /venv
USER 10001
CMD ["wardrobe", "--help"]

FROM run AS serve
COPY --from=build-serve /venv /venv
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --start-period=30s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/v2/health/ready', timeout=3)"]
# Needs WARDROBE_TOKEN, or --no-auth.
ENTRYPOINT ["wardrobe", "serve", "--host", "0.0.0.0"]
