"""Chainlit's hooks: a message comes in, the events of its answer go out. Chainlit loads this file by its path.

The conversation is read from storage for every question and handed whole to the engine, which holds no state.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import uuid
from typing import TYPE_CHECKING, Any, ParamSpec, cast

import chainlit as cl
from chainlit.server import app as chainlit_app

from rag.auth.users import Users
from rag.errors import RagError, Unauthorized, words_for_caller
from rag.storage.catalog import DEFAULT_COLLECTION
from rag.storage.conversations import preferences, put_preferences
from rag.storage.document_list import count_documents
from rag.ui import profiles, settings_panel
from rag.ui.answer.resume import follow
from rag.ui.answer.stream import show
from rag.ui.answer.voting import VOTE, offer_vote, take_vote
from rag.ui.commands import FIND, HITS, commands, mode_of, show_hits
from rag.ui.data_layer import DataLayer
from rag.ui.export import COPY, answer_to_copy
from rag.ui.markdown import escape
from rag.ui.session import principal_of
from rag.ui.starters import suggestions
from rag.ui.translations import current_translations, translations_in
from rag.ui.turns import conversation_messages, nested, turns_before
from rag.ui.uploads import DELETE_UPLOAD, delete_button, delete_upload, ingest_files, report_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chainlit.step import StepDict
    from chainlit.types import ThreadDict

    from rag.auth.access import Access
    from rag.operations.services import Services
    from rag.ui.profiles import Profile
    from rag.ui.translations import Translations

log = logging.getLogger(__name__)
services: Services = chainlit_app.state.services
data_layer = DataLayer(services)

COLLECTION = "collection"
PROFILE = "profile"  # in a user's preferences
PANEL = "panel"
HEADINGS = 60  # enough to find good ones among; the best few become suggested questions
ICON = "/public/favicon.svg"
_Parameters = ParamSpec("_Parameters")


def shows_errors(handler: Callable[_Parameters, Awaitable[None]]) -> Callable[_Parameters, Awaitable[None]]:
    """What goes wrong in the handler is shown as a message; what nobody foresaw, with a reference to the log."""

    @functools.wraps(handler)
    async def handle(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> None:
        try:
            await handler(*args, **kwargs)
        except RagError as error:
            await cl.ErrorMessage("\n\n".join(map(escape, filter(None, words_for_caller(error))))).send()
        except Exception:
            reference = uuid.uuid4().hex[:8]
            log.exception("the chat failed (reference %s)", reference)
            await cl.ErrorMessage(current_translations()("went_wrong", reference=reference)).send()

    return handle


async def offer_profiles(user: cl.User | None = None, language: str | None = None) -> list[cl.ChatProfile]:
    """Whom one can talk to, where there is a choice; and the reason why it is nobody."""
    await asyncio.to_thread(services.models.look_again)
    translations = translations_in(language or "")
    notice = await asyncio.to_thread(profiles.no_model_notice, services, translations)
    access = await access_or_none(user)
    if access is None:
        return []
    offered = await asyncio.to_thread(profiles.profiles, services, access, translations)
    last_chosen = (await _preferences(access)).get(PROFILE)
    if len(offered) == 1 and not notice:
        return []
    return [
        cl.ChatProfile(
            name=profile.id,
            display_name=profile.name,
            markdown_description="\n\n".join(filter(None, [notice, profile.description if profile.role else ""]))
            or profile.description,
            icon=ICON,
            default=profile.id == last_chosen,
            starters=await _starters(access, profile.collection, translations),
        )
        for profile in offered
    ]


async def offer_starters(user: cl.User | None = None, language: str | None = None) -> list[cl.Starter]:
    """Suggested questions for the empty chat."""
    access = await access_or_none(user)
    return await _starters(access, DEFAULT_COLLECTION, translations_in(language or "")) if access else []


@shows_errors
async def on_chat_start() -> None:
    """Say who answers, how much there is to ask, and how to begin where there is nothing yet."""
    translations = current_translations()
    if await asyncio.to_thread(services.models.look_again):
        model = profiles.description_of(services.model)
        await cl.context.emitter.send_toast(translations("model_found", model=model), "success")
    if services.unwritable is not None:
        await cl.context.emitter.send_toast(translations("nothing_is_stored"), "warning")
    access = await access_or_none(cl.user_session.get("user"))
    if access is None:
        return
    remembered = await _preferences(access)
    if (profile_id := cl.user_session.get("chat_profile")) and profile_id != remembered.get(PROFILE):
        await _remember(access, {**remembered, PROFILE: profile_id})
    await _set_up(remembered.get(PANEL, {}))
    welcome = await asyncio.to_thread(_welcome, access, translations)
    await cl.send_window_message({"footnote-welcome": welcome, "footnote-add": translations("add_documents")})


@shows_errors
async def on_chat_resume(thread: ThreadDict) -> None:
    """Go on with a conversation; an answer that is still being written goes on here."""
    await _set_up((thread.get("metadata") or {}).get("chat_settings") or {})
    follow(thread)
    thread["steps"] = cast("list[StepDict]", nested(thread["steps"]))


@shows_errors
async def on_settings_update(values: dict[str, Any]) -> None:
    """Remember what was chosen, and offer the documents of the collection that was."""
    access = await current_access()
    profile = await asyncio.to_thread(_profile, access)
    differing = await asyncio.to_thread(settings_panel.to_remember, services, profile, values)
    await _remember(access, {**await _preferences(access), PANEL: differing})
    if values.get(COLLECTION, cl.user_session.get(COLLECTION)) != cl.user_session.get(COLLECTION):
        await _send_panel(access, profile, values)


@shows_errors
async def on_message(message: cl.Message) -> None:
    """Take in the message's files, then answer its question."""
    # Chainlit's stop button cancels the session's current task, which it does not set for an edited question.
    cl.context.session.current_task = asyncio.current_task()
    question = message.content.strip()
    files = [file for file in message.elements or [] if file.path]
    collection = settings_panel.collection_or_home(cl.user_session.get(COLLECTION))
    reports = await ingest_files(files, services.ingest, await current_access(), collection) if files else []
    if reports and (not question or any(report.outcome == "failed" for report in reports)):
        await cl.Message(report_text(reports), actions=delete_button(reports)).send()
    documents = [(file.name, report.document_id) for file, report in zip(files, reports, strict=True)]
    kept = [(name, document_id) for name, document_id in documents if document_id]
    await data_layer.keep_files(cl.context.session.thread_id, message.id, kept)
    attached = frozenset(report.document_id for report in reports if report.outcome != "failed")
    if question and (attached or not reports):
        await _answer(message, question, attached)


@shows_errors
async def on_vote(action: cl.Action) -> None:
    """Store the vote; the conversation goes on with the answer that was chosen."""
    await take_vote(action, await current_access())


@shows_errors
async def on_delete_upload(action: cl.Action) -> None:
    """Delete what was uploaded with a message."""
    await delete_upload(action, services.ingest, await current_access())
    await action.remove()
    await cl.context.emitter.send_toast(current_translations()("upload_deleted"), "success")


async def on_copy(action: cl.Action) -> None:
    """Put the answer into the browser's clipboard."""
    try:
        text = await answer_to_copy(action, await current_access(), cl.context.session.thread_id)
    except RagError as error:
        await cl.context.emitter.send_toast(" ".join(words_for_caller(error)), "error")
        return
    await cl.send_window_message({"footnote-copy": text})
    await cl.context.emitter.send_toast(current_translations()("copied"), "success")


async def on_stop() -> None:
    """Chainlit says "Task manually stopped." in the assistant's name; a word is enough."""
    last = cl.chat_context.get()[-1]
    if last.type == "assistant_message" and last.content == "Task manually stopped.":
        last.content = current_translations()("stopped")
        await last.update()


async def _answer(message: cl.Message, question: str, attached: frozenset[str]) -> None:
    """Ask as the panel and the command say, and show the answer. Raises RagError when nothing of it came."""
    access = await current_access()
    profile = await asyncio.to_thread(_profile, access)
    values = cl.user_session.get("chat_settings") or {}
    await _keep_settings()
    turns = turns_before(await data_layer.turns(cl.context.session.thread_id), message.id)
    messages = conversation_messages(turns, question)
    mode = mode_of(message.command)
    request = await asyncio.to_thread(
        settings_panel.build_request, services, access, profile, values, messages, attached, mode
    )
    if message.command == FIND:
        await show_hits(await services.engine.retrieve(question, request.scope, HITS), message.id, access)
        return
    model = request.models[0] if request.models else services.models.default_name
    expected_model = "" if request.mode == "route" else model
    outcome = await show(services.ask(request), services.catalog, request.mode, expected_model, message)
    if len(outcome.candidates) > 1:
        await offer_vote(message.id, question, outcome)


async def _keep_settings() -> None:
    """What the conversation is asked with is kept from the start: the process may be killed."""
    session = cl.context.session
    metadata = {"chat_profile": session.chat_profile, "chat_settings": session.chat_settings}
    await data_layer.update_thread(session.thread_id, metadata=metadata)
    await cl.send_window_message({"footnote-conversation": session.thread_id})


async def _set_up(values: settings_panel.Values) -> None:
    """What stands around a conversation: the line above it, the settings panel, and the commands."""
    access = await current_access()
    profile = await asyncio.to_thread(_profile, access)
    translations = current_translations()
    banner = await asyncio.to_thread(profiles.banner, services, translations, profile)
    await cl.send_window_message({"footnote-banner": banner})
    await _send_panel(access, profile, values)
    await cl.context.emitter.set_commands(await asyncio.to_thread(commands, services, translations))


async def _send_panel(access: Access, profile: Profile, values: settings_panel.Values) -> None:
    inputs = await asyncio.to_thread(settings_panel.inputs, services, access, profile, values, current_translations())
    shown = await cl.ChatSettings(inputs).send()
    cl.user_session.set(COLLECTION, shown.get(COLLECTION, profile.collection))


async def _starters(access: Access, collection: str, translations: Translations) -> list[cl.Starter]:
    scope = await asyncio.to_thread(access.scope, settings_panel.collection_or_home(collection))
    headings = await asyncio.to_thread(services.catalog.headings, scope.collection_ids, HEADINGS)
    return [
        cl.Starter(label=suggestion.label, message=suggestion.question)
        for suggestion in suggestions(headings, translations)
    ]


async def _preferences(access: Access) -> dict[str, Any]:
    return await asyncio.to_thread(preferences, access.catalog.database, access.principal.id)


async def _remember(access: Access, changed: dict[str, Any]) -> None:
    await asyncio.to_thread(put_preferences, access.catalog.database, access.principal.id, changed)


async def current_access() -> Access:
    """What whoever chats here may reach. Raises Unauthorized when the user is gone."""
    return await access_of(cl.user_session.get("user"))


async def access_or_none(user: cl.User | None) -> Access | None:
    """What that user may reach; None when there is no such user any more, of which the next message informs them."""
    try:
        return await access_of(user)
    except Unauthorized:
        return None


async def access_of(user: cl.User | None) -> Access:
    """What that user may reach. Raises Unauthorized when there is no such user any more."""
    return services.access(await asyncio.to_thread(principal_of, services, user.identifier if user else None))


def _welcome(access: Access, translations: Translations) -> str:
    """How many documents there are for whoever asks; without any, how to add some, and whom to ask. Blocking."""
    database = access.catalog.database
    documents = sum(count_documents(database, collection.id) for collection in access.collections())
    if documents:
        return translations.counted("documents", documents)
    admins = [user.name for user in Users(database).all() if user.is_admin and user.id != access.principal.id]
    names = translations("ask_to_share", names=", ".join(admins)) if services.settings.is_closed and admins else ""
    return " ".join(filter(None, [translations("no_documents"), names]))


def _profile(access: Access) -> Profile:
    return profiles.profile_of(services, access, cl.user_session.get("chat_profile"))


cl.data_layer(lambda: data_layer)
cl.set_chat_profiles(offer_profiles)
cl.set_starters(offer_starters)
cl.on_chat_start(on_chat_start)
cl.on_chat_resume(on_chat_resume)
cl.on_settings_update(on_settings_update)
cl.on_message(on_message)
cl.on_stop(on_stop)
cl.action_callback(VOTE)(on_vote)
cl.action_callback(DELETE_UPLOAD)(on_delete_upload)
cl.action_callback(COPY)(on_copy)
