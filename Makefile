# make run    build, start Sallyport and the example shop
# make test   everything that CI runs
# make help   the rest

SHELL := /bin/sh
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# npm's own record of what it installed is as old as the last install.
modules = $(1)/node_modules/.package-lock.json
folders := internal/assets console/web internal/e2e
assets := internal/assets/node_modules
sources := $(shell find cmd engine events ceremonies console internal rules examples \
	-name node_modules -prune -o -name '*.go' -print -o -name '*.sql' -print -o -name '*.yaml' -print \
	-o -path '*/pages/*' -type f -print 2>/dev/null)
web := $(shell find console/web -name node_modules -prune -o -type f -print 2>/dev/null)

.PHONY: help run build console deps test lint generate bench clean browser postgres

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: build ## start Sallyport and the example shop, and say where they are
	@exec examples/run.sh

build: bin/sallyport bin/shop bin/lib/.linked ## build bin/sallyport and bin/shop

bin/sallyport: $(sources) go.mod go.sum console/dist/index.html
	go build -o $@ ./cmd/sallyport

bin/shop: $(wildcard examples/shop/*) go.mod go.sum
	go build -o $@ ./examples/shop

# The files that bin/sallyport loads at run time stand beside it. Some are made of
# others first, which takes some seconds once.
bin/lib/.linked: $(call modules,internal/assets) $(wildcard internal/assets/prepare/*.go) internal/assets/ip-hosting.csv
	@mkdir -p $(@D)
	@engine=$$(find $(CURDIR)/$(assets)/@chdb -name libchdb.so 2>/dev/null | head -n 1); \
		if [ -n "$$engine" ]; then ln -sf "$$engine" $(@D)/libchdb.so; \
		else echo "There is no ClickHouse library for this platform here: set SALLYPORT_CLICKHOUSE_LIB, or SALLYPORT_CLICKHOUSE=off."; fi
	go run ./internal/assets/prepare -from internal/assets -to $(@D)
	@find -L $(@D) -type l -exec rm {} + # links to what is no longer installed
	@touch $@

console: console/dist/index.html ## build the console's web application

console/dist/index.html: $(web) $(call modules,console/web)
	cd console/web && npm run --silent build
	@touch $@ console/dist/.gitkeep

deps: $(foreach f,$(folders),$(call modules,$(f))) ## install npm packages as their lockfiles say

%/node_modules/.package-lock.json: %/package-lock.json
	cd $* && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# The order matters: the last lines are those of go test.
test: deps build lint browser postgres ## run every check and test
	cd console/web && npm test --silent
	go test -timeout 20m -p 2 ./...

lint: deps console ## vet, staticcheck, formatting, types of the web application
	go vet ./...
	go tool staticcheck ./...
	cd internal/bench/peers && go vet ./... # a module of its own
	@unformatted=$$(go tool gofumpt -l $$(git ls-files '*.go')); \
		test -z "$$unformatted" || { echo "gofumpt would change:"; echo "$$unformatted"; exit 1; }
	cd console/web && npx --no-install tsc --noEmit

browser: # a real browser runs the ceremonies
	@command -v chromium chromium-browser google-chrome >/dev/null || internal/assets/apt.sh chromium

postgres: # the store's contract runs over PostgreSQL too
	@command -v postgres >/dev/null || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || internal/assets/apt.sh postgresql

generate: deps ## write generated files again
	go generate ./...
	cd console/web && npm run --silent generate

bench: build ## measure speed and memory; prints: name value aim ok|short; PARTS=rules,peers picks some
	@go run ./internal/bench $(if $(PARTS),-only $(PARTS))

clean: ## remove what was built, not what was installed or stored
	rm -rf bin .run .bench .shots
	find console/dist -mindepth 1 ! -name .gitkeep -delete
