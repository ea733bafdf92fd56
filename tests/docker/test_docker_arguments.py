"""AURA_DOCKER_GPUS and AURA_DOCKER_EXTRA_ARGS: what is understood, and what is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from aura_engine.config.settings import Settings
from aura_engine.containers import additions_of
from aura_engine.errors import ConfigError
from aura_engine.runtimes.docker_arguments import HostAdditions, gpu_requests, parse


def request(**given) -> list[dict]:
    return [{"Driver": "", "Count": 0, "DeviceIDs": [], "Capabilities": [["gpu"]], "Options": {}, **given}]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", []),
        ("  ", []),
        ("none", []),
        ("0", []),
        ("all", request(Count=-1)),
        ("2", request(Count=2)),
        ("count=2", request(Count=2)),
        ("device=0", request(DeviceIDs=["0"])),
        ('"device=0,1"', request(DeviceIDs=["0", "1"])),
        ("'\"device=0,1\"'", request(DeviceIDs=["0", "1"])),
        ("device=0,1", request(DeviceIDs=["0", "1"])),
        ("device=GPU-3a23c669-1f69", request(DeviceIDs=["GPU-3a23c669-1f69"])),
        ("all,capabilities=utility", request(Count=-1, Capabilities=[["gpu", "utility"]])),
        (
            'device=1,"capabilities=compute,utility"',
            request(DeviceIDs=["1"], Capabilities=[["gpu", "compute", "utility"]]),
        ),
        ("driver=nvidia,count=all", request(Driver="nvidia", Count=-1)),
        ("driver=nvidia", request(Driver="nvidia", Count=-1)),
    ],
)
def test_gpus(text: str, wanted: list) -> None:
    assert gpu_requests(text) == wanted
    assert parse(text, "").host.get("DeviceRequests", []) == wanted


@pytest.mark.parametrize(
    "text", ["some", "device=", "device=0;rm", "count=-1", "count=x", "count=²", "a=b", "device=0,count=1"]
)
def test_no_gpus(text: str) -> None:
    with pytest.raises(ConfigError) as told:
        gpu_requests(text)
    assert text in str(told.value)


@pytest.mark.parametrize(
    ("extra", "wanted"),
    [
        ("", HostAdditions()),
        ("--memory 8g", HostAdditions({"Memory": 8 << 30, "MemorySwap": 8 << 30})),
        ("-m 512m", HostAdditions({"Memory": 512 << 20, "MemorySwap": 512 << 20})),
        ("--memory=1GB", HostAdditions({"Memory": 1 << 30, "MemorySwap": 1 << 30})),
        ("--cpus=1.5 --pids-limit 64", HostAdditions({"NanoCpus": 1_500_000_000, "PidsLimit": 64})),
        ("--shm-size=1g --cpuset-cpus 0-3,7", HostAdditions({"ShmSize": 1 << 30, "CpusetCpus": "0-3,7"})),
        ("--add-host a:10.0.0.1 --add-host=b=::1", HostAdditions({"ExtraHosts": ["a:10.0.0.1", "b:::1"]})),
        (
            "--add-host host.docker.internal:host-gateway",
            HostAdditions({"ExtraHosts": ["host.docker.internal:host-gateway"]}),
        ),
        ("--dns 1.1.1.1", HostAdditions({"Dns": ["1.1.1.1"]})),
        ("--runtime=runsc", HostAdditions({"Runtime": "runsc"})),
        ("--gpus all", HostAdditions({"DeviceRequests": request(Count=-1)})),
        ("-e A=1 --env 'B=two words'", HostAdditions(env={"A": "1", "B": "two words"})),
        ("--label team=x", HostAdditions(labels={"team": "x"})),
        (
            "-v /data:/data:ro --volume=/big/set:/data/set:ro",
            HostAdditions(mounts=(("/data", "/data"), ("/big/set", "/data/set"))),
        ),
    ],
)
def test_what_is_understood(extra: str, wanted: HostAdditions) -> None:
    assert parse("", extra) == wanted


@pytest.mark.parametrize(
    "extra",
    [
        "--privileged",
        "--privileged=true",
        "--cap-add SYS_ADMIN",
        "--cap-add=ALL",
        "--device /dev/kvm",
        "--security-opt seccomp=unconfined",
        "--pid host",
        "--pid=host",
        "--ipc=host",
        "--uts host",
        "--userns=host",
        "--cgroupns host",
        "--network host",
        "--net=host",
        "-p 80:80",
        "-P",
        "--publish 80:80",
        "-u root",
        "--user 0",
        "--env-file .env",
        "--volumes-from other",
        "--mount type=bind,source=/,target=/x",
        "--tmpfs /x",
        "--rm",
        "--restart always",
        "--name x",
        "-it",
        "--entrypoint sh",
        "--oom-kill-disable",
        "--sysctl a=b",
        "--cgroup-parent x",
        "--device-cgroup-rule 'a *:* rwm'",
        "--memory 4g --privileged",
    ],
)
def test_what_is_refused_by_name(extra: str) -> None:
    with pytest.raises(ConfigError, match="is refused: ") as told:
        parse("", extra)
    flag = extra.split("4g ")[-1].split()[0].split("=")[0]
    assert flag in str(told.value)


@pytest.mark.parametrize(
    "volume",
    [
        "/:/host:ro",
        "/var/run/docker.sock:/var/run/docker.sock:ro",
        "/var/run/docker.sock:/x:ro",
        "/run:/x:ro",
        "/run/user/1000:/x:ro",
        "/etc:/x:ro",
        "/etc/shadow:/x:ro",
        "/root:/x:ro",
        "/root/data:/x:ro",
        "/proc:/x:ro",
        "/sys:/x:ro",
        "/dev:/x:ro",
        "/dev/sda:/x:ro",
        "/var/lib/docker:/x:ro",
        "/home:/x:ro",
        "/home/me:/x:ro",
        "/home/me/.ssh:/x:ro",
        "/srv/.aws:/x:ro",
        "//etc:/x:ro",
        "/data/../etc:/x:ro",
        "/data:/data",
        "/data:/data:rw",
        "/data:/data:ro,z",
        "name:/data:ro",
        "./data:/data:ro",
        "/data:/:ro",
        "/data:/etc:ro",
        "/data:/usr/bin:ro",
        "/data:/proc/x:ro",
        "/data",
        "",
    ],
)
def test_folders_that_no_worker_sees(volume: str) -> None:
    with pytest.raises(ConfigError, match="--volume"):
        parse("", f"--volume '{volume}'")


@pytest.mark.parametrize("name", ["API_KEY", "OPENAI_API_KEY", "GITHUB_TOKEN", "MY_SECRET", "DB_PASSWORD", "aws_auth"])
def test_keys_do_not_go_into_a_containers_settings(name: str) -> None:
    with pytest.raises(ConfigError) as told:
        parse("", f"--env {name}=sk-123")
    assert "sk-123" not in told.value.line()


@pytest.mark.parametrize(
    "extra",
    [
        "--nonsense 1",
        "nonsense",
        "--memory",
        "--memory lots",
        "--memory 0",
        "--cpus -1",
        "--cpus 0",
        "--pids-limit -1",
        "--pids-limit 0",
        "--env A",
        "--env 1A=x",
        "--label aura.project=x",
        "--dns example.com",
        "--add-host a",
        "--add-host a:b",
        "--runtime 'a b'",
        "--cpuset-cpus all",
        "--gpus some",
        "--memory '8g",
        "--",
        "-",
    ],
)
def test_what_is_not_understood(extra: str) -> None:
    with pytest.raises(ConfigError, match="AURA_DOCKER_EXTRA_ARGS"):
        parse("", extra)


def test_a_link_leads_nowhere_else(tmp_path: Path) -> None:
    real = tmp_path / "data"
    real.mkdir()
    (tmp_path / "link").symlink_to("/etc")
    fine = Settings.model_validate({"docker_extra_args": f"-v {real}:/data:ro"})
    assert additions_of(fine).mounts == ((str(real), "/data"),)
    for folder, why in (("link", "belongs to this machine"), ("nothing", "there is no")):
        wrong = Settings.model_validate({"docker_extra_args": f"-v {tmp_path / folder}:/data:ro"})
        with pytest.raises(ConfigError, match=why):
            additions_of(wrong)
