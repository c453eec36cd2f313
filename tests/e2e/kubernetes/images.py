"""The images of the services, built by the engine."""

from tests.e2e.kubernetes.commands import run

BUILT = ("notecast/chat-gateway", "notecast/history")
"""As the overlay `local` names them."""

IMAGES = (*(f"{name}:latest" for name in BUILT), "redis:8", "envoyproxy/envoy:v1.40.0")
"""All that the cluster needs."""

# The first build downloads the packages.
_BUILD_SECONDS = 900
_PULL_SECONDS = 300
_ANSWER_SECONDS = 30


async def build() -> str:
    """Builds our images and has the others at hand; returns how large ours are."""
    for name in BUILT:
        folder = name.removeprefix("notecast/")
        file = f"services/{folder}/Dockerfile"
        await run("docker", "build", "--tag", name, "--file", file, ".", seconds=_BUILD_SECONDS)
    for image in IMAGES:
        if not await run("docker", "images", "--quiet", image, seconds=_ANSWER_SECONDS):
            await run("docker", "pull", "--quiet", image, seconds=_PULL_SECONDS)
    return ", ".join([await _size(name) for name in BUILT])


async def _size(name: str) -> str:
    asked = ("docker", "image", "inspect", "--format", "{{.Size}}", name)
    size = int(await run(*asked, seconds=_ANSWER_SECONDS))
    return f"{name} {size / 1e6:.0f} MB"
