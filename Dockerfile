# The exposure command in a small image; Kafka, registry and database run elsewhere.
FROM node:24-bookworm-slim AS build
WORKDIR /app
ENV NODE_ENV=production
COPY package.json package-lock.json ./
# Optional packages are other Nodes and a database for development: the image needs neither.
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund \
    && npm cache clean --force

FROM node:24-bookworm-slim
ENV NODE_ENV=production \
    EXPOSURE_HEARTBEAT_FILE=/tmp/exposure.heartbeat
WORKDIR /app
COPY --from=build /app/node_modules ./node_modules
COPY package.json package-lock.json ./
COPY bin ./bin
COPY contracts ./contracts
COPY runtime ./runtime
COPY producers ./producers
COPY transformers ./transformers
COPY sinks ./sinks
COPY simulator ./simulator
COPY stack ./stack
COPY cli ./cli
RUN ln -s /app/bin/exposure.mjs /usr/local/bin/exposure \
    && install -d -o 1000 -g 1000 /var/lib/exposure
# The image's own user, by number, so that a cluster can see that it is not root.
USER 1000:1000
# Where `exposure start` keeps its files, and where ./exposure.yaml is looked for.
WORKDIR /var/lib/exposure
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "/app/bin/health.mjs"]
ENTRYPOINT ["exposure"]
CMD ["--help"]
