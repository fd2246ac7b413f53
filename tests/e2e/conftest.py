"""Whole nodes, and nothing in the event loop that blocks it."""

from collections.abc import AsyncGenerator

import pytest

from tests.support.node import NodeClient, node_here


@pytest.fixture
async def quiet_node() -> AsyncGenerator[NodeClient, None]:
    """A node without runners: everything but the work itself."""
    async with node_here(orchestrator__runners__count="0") as (_, client):
        yield client
