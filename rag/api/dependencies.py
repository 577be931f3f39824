"""What every route asks for: the access of whoever sent the request."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from rag.api.middleware.authentication import principal_of
from rag.auth.access import Access


async def access_of(connection: HTTPConnection) -> Access:
    """What the sender of the request may reach."""
    access: Access = connection.app.state.services.access(principal_of(connection))
    return access


Caller = Annotated[Access, Depends(access_of)]
