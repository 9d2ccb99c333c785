# The bot alone: no embedded PostgreSQL, Redis or mail server, no Docker Engine. docker-compose.yml starts it with the rest.
FROM node:24-bookworm-slim

RUN apt-get update \
 && apt-get install -y --no-install-recommends git openssh-client ca-certificates tini \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The optional packages are the embedded PostgreSQL and a Node for machines that have an older one.
RUN npm ci --omit=dev --omit=optional && npm cache clean --force
COPY bin bin
COPY src src
COPY migrations migrations
COPY templates templates

ENV NODE_ENV=production
# With the option of bin/threadbox.mjs, which tells why.
ENTRYPOINT ["tini", "--", "node", "--max-semi-space-size=4", "src/main.ts"]
CMD ["start"]
