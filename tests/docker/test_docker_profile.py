"""The body of every container's creation: each field that holds a wall up is there, and nothing of a person's is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from aura_engine.runtimes.docker_arguments import HostAdditions
from aura_engine.runtimes.docker_profile import Mount, Profile, Use, body, container_name, project_of

PROFILE = Profile(project="0123abcd", run="goal-1", user="1000:1001", memory=2 << 30, cpus=1.5, network="aura-0123abcd")
USE = Use(
    image="sha256:12",
    command=("python3", "/aura/shim.py"),
    cwd="/w/A1-1",
    home="/h/A1-1",
    kind="worker",
    mounts=(Mount("/w/A1-1", "/w/A1-1", writable=True), Mount("/s/shim.py", "/aura/shim.py")),
    labels={"aura.task": "A1", "aura.attempt": "1"},
)
FIELDS = {
    "Image": "sha256:12",
    "Entrypoint": ["python3", "/aura/shim.py"],
    "Cmd": [],
    "WorkingDir": "/w/A1-1",
    "User": "1000:1001",
    "Tty": False,
    "OpenStdin": False,
    "StopSignal": "SIGTERM",
    "StopTimeout": 10,
    "Healthcheck": {"Test": ["NONE"]},
}
HOST = {
    "Init": True,
    "AutoRemove": False,
    "RestartPolicy": {"Name": "no"},
    "Privileged": False,
    "CapAdd": [],
    "CapDrop": ["ALL"],
    "SecurityOpt": ["no-new-privileges:true"],
    "ReadonlyRootfs": True,
    "Tmpfs": {"/tmp": "rw,nosuid,nodev,exec,size=512m,mode=1777"},
    "Memory": 2 << 30,
    "MemorySwap": 2 << 30,
    "NanoCpus": 1_500_000_000,
    "PidsLimit": 512,
    "ShmSize": 64 << 20,
    "OomScoreAdj": 500,
    "Ulimits": [{"Name": "nofile", "Soft": 4096, "Hard": 8192}, {"Name": "core", "Soft": 0, "Hard": 0}],
    "NetworkMode": "aura-0123abcd",
    "IpcMode": "private",
    "CgroupnsMode": "private",
    "LogConfig": {"Type": "local", "Config": {"max-size": "10m", "max-file": "3"}},
    "Devices": [],
    "DeviceRequests": [],
    "PublishAllPorts": False,
    "PortBindings": {},
}
NEVER = ("PidMode", "UTSMode", "UsernsMode", "Binds", "VolumesFrom", "Links", "CgroupParent", "Sysctls", "GroupAdd")


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_is_there(name):
    assert body(PROFILE, USE)[name] == FIELDS[name]


@pytest.mark.parametrize("name", HOST)
def test_each_field_of_the_host_is_there(name):
    assert body(PROFILE, USE)["HostConfig"][name] == HOST[name]


@pytest.mark.parametrize("name", NEVER)
def test_what_would_open_a_wall_is_not_there(name):
    assert name not in body(PROFILE, USE)["HostConfig"]


def test_there_is_no_field_that_no_test_knows():
    made = body(PROFILE, USE)
    assert made["HostConfig"].keys() == HOST.keys() | {"Mounts"}
    attached = {f"Attach{name}" for name in ("Stdin", "Stdout", "Stderr")}
    assert made.keys() == FIELDS.keys() | {"Env", "Labels", "Hostname", "HostConfig"} | attached


def test_it_sees_its_mounts_alone_read_only_unless_said():
    mounts = body(PROFILE, USE)["HostConfig"]["Mounts"]
    assert [(mount["Source"], mount["Target"], mount["ReadOnly"]) for mount in mounts] == [
        ("/w/A1-1", "/w/A1-1", False),
        ("/s/shim.py", "/aura/shim.py", True),
    ]
    for mount in mounts:
        assert (mount["Type"], mount["BindOptions"]) == ("bind", {"Propagation": "rprivate"})


def test_it_is_found_again_by_its_labels():
    assert body(PROFILE, USE)["Labels"] == {
        "aura.project": "0123abcd",
        "aura.run": "goal-1",
        "aura.kind": "worker",
        "aura.epoch": "0",
        "aura.task": "A1",
        "aura.attempt": "1",
    }


def test_its_environment_is_an_allow_list():
    env = dict(entry.split("=", 1) for entry in body(PROFILE, USE)["Env"])
    assert env.pop("HOME") == "/h/A1-1"
    assert {name: env.pop(name) for name in ("USER", "LANG", "TERM")} == {
        "USER": "worker",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
    }
    count = int(env.pop("GIT_CONFIG_COUNT"))
    git = {env.pop(f"GIT_CONFIG_KEY_{at}"): env.pop(f"GIT_CONFIG_VALUE_{at}") for at in range(count)}
    assert git == {"user.name": "worker", "user.email": "worker@localhost", "safe.directory": "*"}
    assert env == {}


def test_a_command_that_asks_for_no_network_has_none():
    assert body(PROFILE, replace(USE, network=False))["HostConfig"]["NetworkMode"] == "none"


def test_what_the_person_allows_is_added_and_no_label_of_auras_can_be_taken_over():
    more = HostAdditions(
        host={"ShmSize": 1 << 30, "DeviceRequests": [{"Count": -1}]},
        env={"EXTRA": "1", "HOME": "/elsewhere"},
        labels={"team": "blue", "aura.project": "another"},
        mounts=(("/data", "/data"),),
    )
    made = body(replace(PROFILE, additions=more), replace(USE, env={"EXTRA": "2"}))
    host = made["HostConfig"]
    assert (host["ShmSize"], host["DeviceRequests"], host["PidsLimit"]) == (1 << 30, [{"Count": -1}], 512)
    assert "EXTRA=2" in made["Env"]
    assert (made["Labels"]["team"], made["Labels"]["aura.project"]) == ("blue", "0123abcd")
    assert host["Mounts"][0] | {"ReadOnly": True, "Target": "/data"} == host["Mounts"][0]


def test_it_is_json():
    json.dumps(body(PROFILE, USE))


def test_names_tell_project_and_attempt_apart():
    assert container_name("0123abcd", "A1.2-3") == "aura-0123abcd-A1.2-3"
    one, other = project_of(Path("/s/goal-1-2")), project_of(Path("/s/other-1-2"))
    assert len(one) == len(other) == 8
    assert one != other
