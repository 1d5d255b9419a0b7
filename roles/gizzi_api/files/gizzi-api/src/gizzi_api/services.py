# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the routes work with: one set per app, closed with it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import httpx
from fastapi import Request

from gizzi_api.metrics import Metrics
from gizzi_api.network import Details, Histories, Network
from gizzi_api.prometheus import Client
from gizzi_api.settings import Listed, Settings


@dataclass(frozen=True)
class Services:
    settings: Settings
    metrics: Metrics
    client: Client
    network: Network
    histories: Histories
    details: Details
    token: bytes | None
    # Callers' own queries, apart from the API's.
    queries: asyncio.Semaphore

    @classmethod
    def create(cls, settings: Settings, metrics: Metrics, transport: httpx.AsyncBaseTransport | None) -> Services:
        client = Client(str(settings.prometheus.url), metrics, transport)
        return cls(
            settings=settings,
            metrics=metrics,
            client=client,
            network=Network(settings, client, metrics),
            histories=Histories(settings, client, metrics),
            details=Details(settings, client, metrics),
            token=settings.query.read_token(),
            queries=asyncio.Semaphore(settings.query.concurrency),
        )

    async def close(self) -> None:
        for part in (self.network, self.histories, self.details, self.client):
            await part.close()

    def listed(self, number: str) -> Listed | None:
        """The validator with exactly this number."""
        return next((one for one in self.settings.validators if str(one.number) == number), None)


def services_of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services
