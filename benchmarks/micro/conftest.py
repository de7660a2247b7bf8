"""What is kept of a run names no machine and no branch."""


def pytest_benchmark_update_machine_info(config, machine_info):
    """The processor decides; the name of the computer does not."""
    cpu = machine_info["cpu"]
    machine_info["node"] = machine_info["release"] = ""
    machine_info["cpu"] = {name: cpu.get(name) for name in ("arch", "brand_raw", "count")}


def pytest_benchmark_generate_commit_info(config):
    """A baseline is found by its file."""
    return {}
