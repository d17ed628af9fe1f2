# longtail on a CPU: docker build -t longtail . && docker run --rm longtail train digits-lt ecl --epochs 2
# Photographs and results: docker run --rm -v "$PWD:/work" longtail train PHOTOS --out runs/photos
FROM python:3.11-slim
WORKDIR /src
# torch without CUDA, in the version of constraints.txt, which is a gigabyte smaller
COPY constraints.txt .
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu $(grep -E '^(torch|torchvision)==' constraints.txt)
COPY pyproject.toml LICENSE ./
COPY docs/pypi.md docs/
COPY longtail longtail
RUN pip install --no-cache-dir -c constraints.txt .
WORKDIR /work
ENTRYPOINT ["longtail"]
CMD ["--help"]
