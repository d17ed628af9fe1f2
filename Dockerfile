# longtail on a CPU: docker build -t longtail . && docker run --rm longtail train digits-lt ecl --epochs 2
# Photographs and results: docker run --rm -v "$PWD:/work" longtail train PHOTOS --out runs/photos
FROM python:3.11-slim
WORKDIR /src
# torch without CUDA, which is gigabytes smaller
RUN pip install --no-cache-dir torch torchvision --index-url https://download.pytorch.org/whl/cpu
COPY pyproject.toml LICENSE ./
COPY docs/pypi.md docs/
COPY longtail longtail
RUN pip install --no-cache-dir .
WORKDIR /work
ENTRYPOINT ["longtail"]
CMD ["--help"]
