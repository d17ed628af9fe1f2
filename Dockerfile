# docker build -t longtail . && docker run --rm longtail train digits-lt ecl --epochs 2
# docker run --rm -v "$PWD:/work" longtail train PHOTOS --out runs/photos   # photographs, results and cached features stay here
FROM python:3.11-slim
WORKDIR /src
# --build-arg TORCH_INDEX=URL, the index of the CPU builds that pytorch.org names, makes the image gigabytes smaller
ARG TORCH_INDEX=
RUN pip install --no-cache-dir torch torchvision ${TORCH_INDEX:+--index-url "$TORCH_INDEX"}
COPY pyproject.toml LICENSE ./
COPY docs/pypi.md docs/
COPY longtail longtail
RUN pip install --no-cache-dir .
ENV LONGTAIL_CACHE=/work/.longtail-cache
WORKDIR /work
ENTRYPOINT ["longtail"]
CMD ["--help"]
