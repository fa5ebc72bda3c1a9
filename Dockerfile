# Caddy with socketio_stream, and the example as its site:
#
#   docker build -t caddy-socketio .
#   docker run --rm -p 80:80 -p 443:443 -p 443:443/udp --stop-timeout 30 caddy-socketio
#
# A Caddyfile of your own goes to /etc/caddy/Caddyfile. It runs as an ordinary user and writes below /data and /config
# alone, so the rest may be read-only.

FROM golang:1.26-bookworm AS caddy
WORKDIR /src
COPY . .
RUN ./xcaddy.sh build

FROM node:20-bookworm-slim AS pages
WORKDIR /src
COPY client client
COPY examples examples
RUN (cd client && npm ci --no-audit --no-fund && npm run build) \
	&& (cd examples/share && npm ci --no-audit --no-fund && npm run build) \
	&& (cd examples/streaming && npm ci --no-audit --no-fund)

FROM alpine:3.22
RUN apk add --no-cache ca-certificates mailcap \
	&& adduser -D -H -u 65532 caddy \
	&& mkdir -p /data/caddy /config/caddy /etc/caddy /srv \
	&& chown -R caddy:caddy /data /config
COPY --from=caddy /src/build/caddy /usr/bin/caddy
COPY --from=caddy /src/Caddyfile.example /etc/caddy/Caddyfile
COPY --from=pages /src/examples/streaming/public /srv/examples/streaming/public
COPY --from=pages /src/examples/share/dist /srv/examples/share/dist
COPY --from=pages /src/examples/streaming/node_modules/socket.io-client/dist /srv/socket.io-client
ENV XDG_DATA_HOME=/data XDG_CONFIG_HOME=/config SOCKETIO_CLIENT=/srv/socket.io-client HEALTH=https://localhost/health
WORKDIR /srv
USER 65532:65532
VOLUME ["/data", "/config"]
EXPOSE 80 443 443/udp
# The certificate of a site is not for this name, and the answer says nothing that is secret.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s \
	CMD ["sh", "-c", "wget -q -O /dev/null --no-check-certificate \"$HEALTH\""]
ENTRYPOINT ["caddy"]
CMD ["run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
