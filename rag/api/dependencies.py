"""What routes ask for: the access of whoever sent the request, and the parts of the application."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from rag.api.middleware.authentication import principal_of
from rag.auth.access import Access
from rag.operations.services import Services


async def services_of(connection: HTTPConnection) -> Services:
    """The parts of the application that answers the request."""
    services: Services = connection.app.state.services
    return services


async def access_of(connection: HTTPConnection) -> Access:
    """What the sender of the request may reach."""
    access: Access = connection.app.state.services.access(principal_of(connection))
    return access


AppServices = Annotated[Services, Depends(services_of)]
Caller = Annotated[Access, Depends(access_of)]
