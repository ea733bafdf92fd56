# Sourced by .ci/run: a container engine for the tests, with the workers' image built in it from nothing.
#
# engine_up WORK CACHE   uses the engine that answers, else starts one of its own, with all that is its below WORK; makes
#                        the base image and on it, with docker_scripts, the workers' image; exports
#                        AURA_TEST_DOCKER_HOST, AURA_TEST_DOCKER_IMAGE and AURA_TEST_DOCKER_WORKERS
# engine_down WORK       ends an engine that was started here

engine_up() {
    local work=$1 cache=$2 here
    here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
    if timeout 20 docker info >/dev/null 2>&1; then
        export DOCKER_HOST=${DOCKER_HOST:-unix:///var/run/docker.sock}
    else
        export DOCKER_HOST="unix://$work/docker.sock"
        mkdir -p "$work/data" "$work/exec"
        dockerd --data-root "$work/data" --exec-root "$work/exec" -H "$DOCKER_HOST" -p "$work/dockerd.pid" \
            --bip 10.203.0.1/24 >"$work/dockerd.log" 2>&1 &
        for _ in {1..120}; do
            docker info >/dev/null 2>&1 && break
            sleep 0.5
        done
        docker info >/dev/null || { tail -n 20 "$work/dockerd.log" >&2 && return 1; }
    fi
    "$here/base.sh" "$cache/base-trixie.tar"
    docker import "$cache/base-trixie.tar" aura-test-base:latest >/dev/null
    BASE_IMAGE=aura-test-base:latest DOCKER_BUILDKIT=0 \
        PIP_INDEX_URL=${PIP_INDEX_URL:-$(python3 -m pip config get global.index-url 2>/dev/null || true)} \
        NPM_REGISTRY=${NPM_REGISTRY:-$(npm config get registry 2>/dev/null || true)} \
        "$here/../../docker_scripts/rebuild.sh" --network host >"$work/build.log" 2>&1 ||
        { tail -n 40 "$work/build.log" >&2 && return 1; }
    tail -n 1 "$work/build.log"
    export AURA_TEST_DOCKER_HOST=$DOCKER_HOST AURA_TEST_DOCKER_IMAGE=aura-test-base:latest
    export AURA_TEST_DOCKER_WORKERS=ghcr.io/erickong/aura-claude-cuda:latest
    docker version --format 'Docker {{.Server.Version}}'
}

engine_down() {
    local pid place
    pid=$(cat "$1/dockerd.pid" 2>/dev/null) || return 0
    kill "$pid" 2>/dev/null || return 0
    for _ in {1..60}; do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.5
    done
    grep -o " $1/[^ ]*" /proc/mounts | while read -r place; do umount "$place" || true; done
}
