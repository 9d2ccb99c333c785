# In place of redis:7.
FROM threadbox-test-base
RUN apt-get update && apt-get install -y --no-install-recommends redis-server && rm -rf /var/lib/apt/lists/*
WORKDIR /data
VOLUME /data
CMD ["redis-server"]
