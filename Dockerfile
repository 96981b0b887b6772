# Sallyport with the console, ClickHouse's engine and the data of facts inside.
# The engine needs glibc, hence Debian: no Alpine, no scratch.

FROM node:22-bookworm-slim AS web
WORKDIR /src
COPY internal/assets/package.json internal/assets/package-lock.json internal/assets/
RUN cd internal/assets && npm ci --no-audit --no-fund
COPY console/web/package.json console/web/package-lock.json console/web/
RUN cd console/web && npm ci --no-audit --no-fund
COPY internal/api/console.yaml internal/api/
COPY console/web console/web
RUN cd console/web && npm run build
RUN mkdir lib && mv internal/assets/node_modules/@chdb/lib-*/libchdb.so lib/libchdb.so

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
COPY --from=web /src/console/dist console/dist
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -o /out/sallyport ./cmd/sallyport
COPY --from=web /src/internal/assets/node_modules internal/assets/node_modules
RUN go run ./internal/assets/prepare -from internal/assets -to /out/lib -copy

FROM debian:bookworm-slim
RUN apt-get update \
	&& apt-get install -y --no-install-recommends ca-certificates tzdata \
	&& rm -rf /var/lib/apt/lists/* \
	&& useradd --system --uid 10001 --home-dir /data sallyport \
	&& install -d -o sallyport -g sallyport -m 0700 /data
# The binary finds these files in the folder lib beside it.
COPY --from=build /out/sallyport /usr/lib/sallyport/sallyport
COPY --from=build /out/lib /usr/lib/sallyport/lib
COPY LICENSE NOTICE /usr/share/doc/sallyport/
COPY --from=web /src/lib/libchdb.so /usr/lib/sallyport/lib/libchdb.so
RUN ln -s /usr/lib/sallyport/sallyport /usr/bin/sallyport
ENV SALLYPORT_LISTEN=:8080 SALLYPORT_DATA=/data SALLYPORT_LOG_FORMAT=json
USER sallyport
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["sallyport"]
CMD ["serve"]
