# One verb for each job. Each installs what it needs into .cache/ and the packages' node_modules/,
# nothing else on the machine; it needs Rust by rustup, Python 3.10 or newer with venv, Node.js 20
# or newer, a C compiler and, for the tests, Go; and says what is missing. The work is in the
# scripts of .ci/, and CI runs these same verbs.
#
#   PROFILE=release make package    what people install; the default profile `ci` leaves out the long link

SHELL := /bin/bash
VERBS := demo test matrix check format gen bench package fuzz soak cross clean

.PHONY: help $(VERBS)
.DEFAULT_GOAL := help

help: ## Says what each verb does.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Builds and installs the packages, then talks to the example agents through the installed command.
	@.ci/package
	@.ci/demo

test: ## Builds and runs everything, and prints a table of minutes. STEPS="rust python" runs only those steps.
	@.ci/test $(STEPS)

matrix: ## Runs the suites of sessions on other releases of the SDKs, Python, Node.js, bun and deno. ONLY="agents-1.8.1" names some.
	@.ci/matrix $(ONLY)

check: ## Words, format, lints, types, and whether generated files are current.
	@.ci/check

format: ## Puts the format of all sources right.
	@.ci/format

gen: ## Writes the generated files that are committed.
	@.ci/gen

bench: ## Measures Greenroom and its peers side by side.
	@.ci/bench

package: ## Leaves this platform's wheel, sdist, npm tarballs and command in dist/.
	@.ci/package

fuzz: ## Makes up what may come in and looks for what breaks. SECONDS_EACH=600 goes on longer, TARGETS="signal packet" names some.
	@.ci/fuzz $(or $(SECONDS_EACH),60) $(TARGETS)

soak: ## Runs the tests with long counts, and many times (PROPTEST_CASES, ROUNDS, FUZZ_SECONDS).
	@.ci/soak

cross: ## Checks that the core compiles for other platforms.
	@.ci/cross

clean: ## Removes what the verbs made, the installed tools included.
	rm -rf target dist .cache bindings-python/greenroom.data bindings-python/THIRD-PARTY-NOTICES.txt bindings-python/*.cdx.json packages/*/dist packages/*/node_modules tests/node/node_modules tests/bundlers/node_modules examples/node/node_modules
