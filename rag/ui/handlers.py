"""Chainlit's hooks: a message comes in, the events of its answer go out. Chainlit loads this file by its path.

The conversation is read from storage for every question and handed whole to the engine, which holds no state.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import TYPE_CHECKING, Any, cast

import chainlit as cl
from chainlit.server import app as chainlit_app

from rag.errors import RagError, Unauthorized
from rag.storage.catalog import DEFAULT_COLLECTION
from rag.storage.conversations import preferences, put_preferences
from rag.ui import profiles, settings_panel
from rag.ui.answer.resume import follow
from rag.ui.answer.stream import show
from rag.ui.answer.voting import VOTE, offer_vote, take_vote
from rag.ui.commands import FIND, HITS, commands, mode_of, show_hits
from rag.ui.data_layer import DataLayer
from rag.ui.export import COPY, copy
from rag.ui.login import principal_of
from rag.ui.markdown import escape
from rag.ui.starters import suggestions
from rag.ui.translations import here, translations_in
from rag.ui.turns import before, messages, nested
from rag.ui.uploads import THROW_AWAY, report_text, take_in, throw_away, way_back

if TYPE_CHECKING:
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


async def offer_profiles(user: cl.User | None = None, language: str | None = None) -> list[cl.ChatProfile]:
    """Whom one can talk to, where there is a choice; and the reason why it is nobody."""
    await asyncio.to_thread(services.models.look_again)
    texts = translations_in(language or "")
    notice = await asyncio.to_thread(profiles.no_model_notice, services, texts)
    caller = await access_or_none(user)
    if caller is None:
        return []
    found = await asyncio.to_thread(profiles.profiles, services, caller, texts)
    chosen = (await _preferences(caller)).get(PROFILE)
    if len(found) == 1 and not notice:
        return []
    return [
        cl.ChatProfile(
            name=profile.id,
            display_name=profile.name,
            markdown_description="\n\n".join(filter(None, [notice, profile.description if profile.role else ""]))
            or profile.description,
            icon=ICON,
            default=profile.id == chosen,
            starters=await _starters(caller, profile.collection, texts),
        )
        for profile in found
    ]


async def suggest(user: cl.User | None = None, language: str | None = None) -> list[cl.Starter]:
    """Suggested questions for the empty chat."""
    caller = await access_or_none(user)
    return await _starters(caller, DEFAULT_COLLECTION, translations_in(language or "")) if caller else []


async def welcome() -> None:
    """Say who answers, and how to begin where there is nothing to ask yet."""
    texts = here()
    if await asyncio.to_thread(services.models.look_again):
        await cl.context.emitter.send_toast(texts("model_found", model=services.model.description), "success")
    access = await access_or_none(cl.user_session.get("user"))
    if access is None:
        return
    chosen = await _preferences(access)
    if (profile_id := cl.user_session.get("chat_profile")) and profile_id != chosen.get(PROFILE):
        await _remember(access, {**chosen, PROFILE: profile_id})
    await _set_up(chosen.get(PANEL, {}))
    if not await asyncio.to_thread(_has_documents, await caller()):
        kinds = ", ".join(sorted(suffix.removeprefix(".") for suffix in services.ingest.suffixes))
        await cl.Message(texts("no_documents", kinds=kinds)).send()


async def resume(thread: ThreadDict) -> None:
    """Go on with a conversation; an answer that is still being written goes on here."""
    chat_settings = (thread.get("metadata") or {}).get("chat_settings") or {}
    await _set_up(chat_settings)
    follow(thread)
    thread["steps"] = cast("list[StepDict]", nested(thread["steps"]))


async def settings_changed(told: dict[str, Any]) -> None:
    """Remember what was chosen, and offer the documents of the collection that was."""
    access = await caller()
    profile = await asyncio.to_thread(_profile, access)
    chosen = await asyncio.to_thread(settings_panel.to_remember, services, profile, told)
    await _remember(access, {**await _preferences(access), PANEL: chosen})
    if told.get(COLLECTION, cl.user_session.get(COLLECTION)) != cl.user_session.get(COLLECTION):
        await _send_panel(profile, told)


async def on_message(message: cl.Message) -> None:
    """Take in the message's files, then answer its question."""
    # Chainlit's stop button cancels the session's current task, which it does not set for an edited question.
    cl.context.session.current_task = asyncio.current_task()
    question = message.content.strip()
    try:
        files = [file for file in message.elements or [] if file.path]
        collection = settings_panel.chosen(cl.user_session.get(COLLECTION))
        reports = await take_in(files, services.ingest, await caller(), collection) if files else []
        if reports and (not question or any(report.outcome == "failed" for report in reports)):
            await cl.Message(report_text(reports), actions=way_back(reports)).send()
        documents = [(file.name, report.document_id) for file, report in zip(files, reports, strict=True)]
        await data_layer.keep_files(cl.context.session.thread_id, message.id, [told for told in documents if told[1]])
        read = frozenset(report.document_id for report in reports if report.outcome != "failed")
        if question and (read or not reports):
            await _answer(message, question, read)
    except RagError as error:
        hint = f"\n\n{escape(error.hint)}" if error.hint else ""
        await cl.ErrorMessage(f"{escape(error.message)}{hint}").send()
    except Exception:
        reference = uuid.uuid4().hex[:8]
        log.exception("the chat failed (reference %s)", reference)
        await cl.ErrorMessage(here()("went_wrong", reference=reference)).send()


async def voted(action: cl.Action) -> None:
    """Store the vote; the conversation goes on with the answer that was chosen."""
    try:
        await take_vote(action, await caller())
    except RagError as error:
        await cl.ErrorMessage(escape(f"{error.message} {error.hint}")).send()


async def thrown_away(action: cl.Action) -> None:
    """Remove what was uploaded with a message."""
    try:
        await throw_away(action, services.ingest, await caller())
    except RagError as error:
        await cl.ErrorMessage(escape(f"{error.message} {error.hint}")).send()
        return
    await action.remove()
    await cl.context.emitter.send_toast(here()("thrown_away"), "success")


async def copied(action: cl.Action) -> None:
    """Put the answer into the browser's clipboard."""
    try:
        text = await copy(action, await caller(), cl.context.session.thread_id)
    except RagError as error:
        await cl.context.emitter.send_toast(f"{error.message} {error.hint}", "error")
        return
    await cl.send_window_message({"footnote-copy": text})
    await cl.context.emitter.send_toast(here()("copied"), "success")


async def stopped() -> None:
    """Chainlit says "Task manually stopped." in the assistant's name; a word is enough."""
    last = cl.chat_context.get()[-1]
    if last.type == "assistant_message" and last.content == "Task manually stopped.":
        last.content = here()("stopped")
        await last.update()


async def _answer(message: cl.Message, question: str, attached: frozenset[str]) -> None:
    """Ask as the panel and the command say, and show the answer. Raises RagError when nothing of it came."""
    access = await caller()
    profile = await asyncio.to_thread(_profile, access)
    told = cl.user_session.get("chat_settings") or {}
    await _note_settings()
    turns = before(await data_layer.turns(cl.context.session.thread_id), message.id)
    conversation = messages(turns, question)
    mode = mode_of(message.command)
    asked = await asyncio.to_thread(
        settings_panel.request, services, access, profile, told, conversation, attached, mode
    )
    if message.command == FIND:
        await show_hits(await services.engine.retrieve(question, asked.scope, HITS), message.id, access)
        return
    expected = "" if asked.mode == "route" else asked.models[0] if asked.models else services.models.default_name
    outcome = await show(services.ask(asked), services.catalog, asked.mode, expected, message.id)
    if len(outcome.candidates) > 1:
        await offer_vote(message.id, question, outcome)


async def _note_settings() -> None:
    """What the conversation is asked with is kept from the start: the process may be killed."""
    session = cl.context.session
    asked_with = {"chat_profile": session.chat_profile, "chat_settings": session.chat_settings}
    await data_layer.update_thread(session.thread_id, metadata=asked_with)
    await cl.send_window_message({"footnote-conversation": session.thread_id})


async def _set_up(told: settings_panel.Told) -> None:
    """What stands around a conversation: the line above it, the settings panel, and the commands."""
    access = await caller()
    profile = await asyncio.to_thread(_profile, access)
    line = await asyncio.to_thread(profiles.banner, services, here(), profile)
    await cl.send_window_message({"footnote-banner": line})
    await _send_panel(profile, told)
    await cl.context.emitter.set_commands(await asyncio.to_thread(commands, services, here()))


async def _preferences(access: Access) -> dict[str, Any]:
    return await asyncio.to_thread(preferences, access.catalog.database, access.principal.id)


async def _remember(access: Access, chosen: dict[str, Any]) -> None:
    await asyncio.to_thread(put_preferences, access.catalog.database, access.principal.id, chosen)


async def caller() -> Access:
    """What whoever chats here may reach. Raises Unauthorized when the user is gone."""
    return await access_of(cl.user_session.get("user"))


async def access_or_none(user: cl.User | None) -> Access | None:
    """What that user may reach; None when there is no such user any more, which the next message is told."""
    try:
        return await access_of(user)
    except Unauthorized:
        return None


async def access_of(user: cl.User | None) -> Access:
    """What that user may reach. Raises Unauthorized when there is no such user any more."""
    return services.access(await asyncio.to_thread(principal_of, services, user.identifier if user else None))


def _has_documents(caller: Access) -> bool:
    return any(caller.catalog.documents(collection.id) for collection in caller.collections())


def _profile(caller: Access) -> Profile:
    return profiles.profile_of(services, caller, cl.user_session.get("chat_profile"))


async def _send_panel(profile: Profile, told: settings_panel.Told) -> None:
    inputs = await asyncio.to_thread(settings_panel.inputs, services, await caller(), profile, told, here())
    chosen = await cl.ChatSettings(inputs).send()
    cl.user_session.set(COLLECTION, chosen.get(COLLECTION, profile.collection))


async def _starters(caller: Access, collection: str, texts: Translations) -> list[cl.Starter]:
    scope = await asyncio.to_thread(caller.scope, settings_panel.chosen(collection))
    headings = await asyncio.to_thread(services.catalog.headings, scope.collection_ids, HEADINGS)
    found = suggestions(headings, texts)
    return [cl.Starter(label=suggestion.label, message=suggestion.question) for suggestion in found]


cl.data_layer(lambda: data_layer)
cl.set_chat_profiles(offer_profiles)
cl.set_starters(suggest)
cl.on_chat_start(welcome)
cl.on_chat_resume(resume)
cl.on_settings_update(settings_changed)
cl.on_message(on_message)
cl.on_stop(stopped)
cl.action_callback(VOTE)(voted)
cl.action_callback(THROW_AWAY)(thrown_away)
cl.action_callback(COPY)(copied)
