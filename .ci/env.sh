# Sourced by the scripts beside it: where things are, and the one way in which cargo builds for all of them.
#
# Everything that the verbs install lies in .cache/ (see .ci/setup), so a verb never changes the machine.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=$root/.cache
venvs=$cache/venvs
tools=$venvs/tools/bin
dist=$root/dist
cd "$root"

# The cargo profile of all that is built: `ci` unless PROFILE names another; people install `release`.
profile=${PROFILE:-ci}

# Packages keep a cache inside the repository, on one file system with the environments that link to it.
export UV_CACHE_DIR="$cache/uv" UV_NO_PROGRESS=1
export npm_config_fund=false npm_config_audit=false npm_config_update_notifier=false
# A lockfile names packages and their hashes, never the registry that one machine happened to use.
export npm_config_omit_lockfile_registry_resolved=true

# AWS-LC draws its random numbers from the system, as other TLS libraries do. By itself it adds a source of its own, which is how
# unevenly the processor runs, and to test that takes 20 ms of the first join of every process, two thirds of it.
export AWS_LC_SYS_NO_JITTER_ENTROPY=1

# With one target triple, one linker and one C compiler, cargo compiles each dependency once for the tests, the wheel,
# the addon and the command. Build without them (plain `cargo test`) goes to another folder and does not disturb this.
if command -v rustc >/dev/null; then
    triple=$(rustc -vV | sed -n 's/^host: //p')
    export CARGO_BUILD_TARGET="$triple"
    if [ "$(uname -s)" = Linux ]; then
        shouted=$(printf %s "$triple" | tr a-z- A-Z_)
        export "CARGO_TARGET_${shouted}_LINKER=$root/.ci/zig-cc" "CC_${triple//-/_}=$root/.ci/zig-cc"
    fi
    target=${CARGO_TARGET_DIR:-$root/target}
    # Where that build's programs are; cargo names the folder of the profile `dev` otherwise.
    built=$target/$triple/${profile/#dev/debug}
    # Where napi-derive writes what the addon exports, see bindings-node/declarations.mjs.
    export NAPI_TYPE_DEF_TMP_FOLDER="$target/napi"
    mkdir -p "$NAPI_TYPE_DEF_TMP_FOLDER"
fi

# Selects what cargo builds: `shipped` is the command, the addon and, for tests, their agent, and
# `tested` is every crate with Rust tests. Both and the wheel share one set of compiled crates, see
# .ci/build-set/Cargo.toml. A release build enables only the features that it needs.
shipped=(--package greenroom-cli --package greenroom-node)
wheel_features=()
if [ "$profile" != release ]; then
    shipped+=(--package greenroom-test-peer --features greenroom-node/_build-set)
    wheel_features=(--features _build-set)
fi
tested=(--workspace --exclude greenroom-python --exclude greenroom-node)

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
