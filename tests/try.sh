#!/bin/sh
# Sets Aura up in .venv beside this folder and runs it; needs Python 3.11 or newer and git 2.38 or newer.
#
#   sh tests/try.sh demo     the demonstration: no key, no Docker, no worker program needed
#   sh tests/try.sh test     the whole test suite
#
# What stands after the word goes to `aura demo` or to pytest.
set -eu

cd "$(dirname "$0")/.."

usable() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if usable "$name"; then
            echo "$name"
            return
        fi
    done
}

git_is_new() {
    # “git version 2.39.5 (Apple Git-154)” → 2 39 5 154
    # shellcheck disable=SC2046
    set -- $(git version 2>/dev/null | tr -c '0-9' ' ')
    [ "${1:-0}" -gt 2 ] || { [ "${1:-0}" -eq 2 ] && [ "${2:-0}" -ge 38 ]; }
}

python_package() {
    # The newest Python of an apt system may stand beside an older python3 (Ubuntu 22.04: python3.11).
    if command -v apt-get >/dev/null 2>&1 && command -v python3 >/dev/null 2>&1 && ! usable python3; then
        for version in 3.14 3.13 3.12 3.11; do
            if apt-cache show "python$version-venv" 2>/dev/null | grep -q .; then
                echo "python$version-venv"
                return
            fi
        done
    fi
    if command -v apt-get >/dev/null 2>&1; then
        echo "python3 python3-venv"
    elif command -v brew >/dev/null 2>&1; then
        echo "python@3.13"
    else
        echo "python3"
    fi
}

install_line() {
    sudo="sudo "
    [ "$(id -u)" -ne 0 ] || sudo=""
    if command -v apt-get >/dev/null 2>&1; then
        echo "${sudo}apt-get update && ${sudo}apt-get install -y $1"
    elif command -v dnf >/dev/null 2>&1; then
        echo "${sudo}dnf install -y $1"
    elif command -v pacman >/dev/null 2>&1; then
        echo "${sudo}pacman -Sy --needed $1"
    elif command -v apk >/dev/null 2>&1; then
        echo "${sudo}apk add $1"
    elif command -v brew >/dev/null 2>&1; then
        echo "brew install $1"
    else
        echo "install with your package manager: $1"
    fi
}

missing="" packages=""
python=$(find_python)
if [ -z "$python" ]; then
    missing="Python 3.11 or newer"
    packages=$(python_package)
elif ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    missing="Python's venv module"
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    packages="python$version-venv"
fi
if ! git_is_new; then
    missing="${missing:+$missing and }git 2.38 or newer"
    packages="${packages:+$packages }git"
fi
if [ -n "$missing" ]; then
    echo "Aura needs $missing. This gets it:" >&2
    echo "    $(install_line "$packages")" >&2
    exit 2
fi

case "${1:-}" in
    demo) extra="" ;;
    test) extra="[dev]" ;;
    *)
        echo "Say what to run: sh tests/try.sh demo, or sh tests/try.sh test" >&2
        exit 2
        ;;
esac
what=$1
shift

stamp=".venv/installed-$what"
if [ -z "$(find "$stamp" -newer pyproject.toml 2>/dev/null)" ]; then
    if ! [ -w . ]; then
        echo "$PWD cannot be written by you, and .venv belongs there. Copy it to a folder of your own." >&2
        exit 2
    fi
    echo "Setting up .venv (once) ..." >&2
    .venv/bin/python -c '' 2>/dev/null || "$python" -m venv --clear .venv
    if ! .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".$extra"; then
        echo "Its libraries could not be installed; the lines above say why. With a network, run the same again." >&2
        exit 2
    fi
    touch "$stamp"
fi

if [ "$what" = demo ]; then
    exec .venv/bin/aura demo "$@"
fi
exec .venv/bin/python -m pytest -n auto "$@"
