# In place of postgres:18: Debian's PostgreSQL, set up by the same variables, its data below the same directory.
FROM threadbox-test-base
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql \
 && rm -rf /var/lib/apt/lists/* /var/lib/postgresql/* && chown postgres:postgres /var/lib/postgresql
COPY start-postgres /usr/local/bin/
ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
VOLUME /var/lib/postgresql
ENTRYPOINT ["start-postgres"]
