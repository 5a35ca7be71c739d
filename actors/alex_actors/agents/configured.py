"""The agents that the settings make, and all that is on their thread with them: models, tools, MCP servers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from alex_actors.agents.choice import AgentChoice
from alex_actors.agents.loading import AgentParts, CannotLoad, load_agents
from alex_actors.agents.memory import Conversations, NothingSaid, RecordedConversations
from alex_actors.agents.offline_agent import OfflineAgent
from alex_actors.agents.react import ReActAgent
from alex_actors.executor import AsyncioExecutor
from alex_actors.loop_thread import LoopThread
from alex_actors.mcp.servers import McpServers
from alex_actors.mcp.spec import McpError, McpServerSpec
from alex_actors.models import OFFLINE, OfflineModel
from alex_actors.models.catalog import make_model, warnings
from alex_actors.models.configured import configured_models, configured_prices
from alex_actors.models.spec import ModelConfigError
from alex_actors.ports import Agent, Model
from alex_actors.redact import Redactor
from alex_actors.tools.configured import configured_tools
from alex_actors.tools.delegate import delegate_tool
from alex_actors.tools.loading import ToolsError, merged
from alex_actors.tools.toolbox import Toolbox

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from alex_actors.cores import Cores
    from alex_actors.data_directory import DataDirectory
    from alex_actors.models.resilience import ResilientModel
    from alex_actors.ports import Clock
    from alex_actors.replies import Component
    from alex_actors.store.reader import StoreReader
    from alex_actors.sub_agents import SubAgents
    from alex_actors.tasks import Task
    from alex_actors.tools import ShellCommands
    from alex_config import Settings

MCP_START_SECONDS = 5.0
"""For which the start waits for MCP servers; slower ones come later, and what needs them is told so."""


class CannotConfigure(Exception):
    """The models, tools, servers or agents of the configuration cannot be had; its text says why."""


class ConfiguredAgents:
    """The agents' thread, and all that is on it. ``executor`` runs the agents; ``tool_names`` are those of the
    tools that are there for good.

    Sub-agents need the actors, which need the executor: ``delegate_to`` is called when they are there.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        data: DataDirectory,
        reader: StoreReader,
        shell_commands: ShellCommands,
        cores: Cores,
        environ: Mapping[str, str],
        random: Callable[[], float],
        clock: Clock,
        log: FilteringBoundLogger,
        stops: ExitStack,
        stop_within: float,
    ) -> None:
        """Start the thread and the MCP servers; ``stops`` gets what ends both, within so many seconds.

        Raises CannotConfigure, or SandboxError.
        """
        self._settings = settings
        self._data = data
        self._reader = reader
        self._clock = clock
        self._log = log
        self._sub_agents: Callable[[], SubAgents] | None = None
        self.thread = LoopThread(name="agents", clock=clock, log=log)
        self._mcp: McpServers | None = None
        self._models: dict[str, ResilientModel] = {}
        self._stop_within = stop_within
        self._executor: AsyncioExecutor | None = None
        stops.callback(self._stop)
        try:
            self._models = self._made_models(random)
            self.executor = self._executor = self._assembled(shell_commands, cores, environ)
        except (ModelConfigError, ToolsError, McpError, CannotLoad) as error:
            raise CannotConfigure(str(error)) from error

    def delegate_to(self, sub_agents: Callable[[], SubAgents]) -> None:
        """Have sub-agents run by these actors, which need not be there until an agent runs."""
        self._sub_agents = sub_agents

    def components(self) -> dict[str, Component]:
        """Return how MCP servers are, if there are any."""
        return {"mcp": self._mcp.component()} if self._mcp is not None and self._settings.defined.mcp else {}

    def mcp_servers(self) -> dict[str, bool]:
        """Return of each MCP server, by name, whether it is there."""
        return {} if self._mcp is None else self._mcp.connected()

    # The parts.

    def _made_models(self, random: Callable[[], float]) -> dict[str, ResilientModel]:
        prices = configured_prices(self._settings)
        specs = configured_models(self._settings)
        for spec in specs.values():
            for warning in warnings(spec):
                self._log.warning("model.insecure", reason=warning)
        models = {
            name: make_model(spec, prices=prices, clock=self._clock, sleep=asyncio.sleep, random=random)
            for name, spec in specs.items()
        }
        for name, spec in specs.items():
            if self._settings.agents.max_cost_usd and not models[name].is_priced:
                raise ModelConfigError(
                    f"agents.max_cost_usd is set, and what the model {spec.name} costs is not known: "
                    f'give its price in [prices."{spec.name}"].'
                )
        for name in sorted(prices.keys() - {spec.name for spec in specs.values()}):
            self._log.warning(
                "model.price_of_none", model=name, reason=f"No model is called so: prices.{name} is of no use."
            )
        return models

    def _assembled(
        self, shell_commands: ShellCommands, cores: Cores, environ: Mapping[str, str]
    ) -> AsyncioExecutor:
        settings = self._settings
        folder = str(settings.defined.directory)
        if folder not in sys.path:  # at the end: nothing there hides what is installed
            sys.path.append(folder)
        specs = self._mcp_specs(environ)
        redactor = Redactor.of_environment(self._secrets(specs, environ))
        self._mcp = mcp = McpServers(specs, loop=self.thread.loop, cores=cores, log=self._log, clock=self._clock,
            named=_named_tools(settings),
        )  # fmt: skip
        toolbox = self._toolbox(shell_commands, mcp, environ)
        self.tool_names = toolbox.fixed
        own, models = self._agents(toolbox, redactor)
        mcp.start(within=MCP_START_SECONDS)
        choice = AgentChoice(own=own, presets=tuple(settings.presets.agents), models=models)
        return AsyncioExecutor(
            loop=self.thread.loop, agent_for=choice, clock=self._clock, log=self._log,
            max_ahead=settings.agents.max_events_ahead, redactor=redactor,
        )  # fmt: skip

    def _toolbox(self, shell_commands: ShellCommands, mcp: McpServers, environ: Mapping[str, str]) -> Toolbox:
        settings, tools = self._settings, self._settings.tools
        agents = (*settings.presets.agents, *settings.defined.own_agents)
        delegate = delegate_tool(
            sub_agents=self._running_sub_agents, within=lambda inner, outer: toolbox.within(inner, outer),
            agent_presets=agents, models_of_presets=settings.presets.models,
            most_at_once=settings.agents.max_sub_agents, max_depth=settings.agents.max_depth,
        )  # fmt: skip
        configured = configured_tools(
            settings, data_directory=self._data.path, workspaces=self._data.workspaces,
            shell_commands=shell_commands, environ=environ, threads=self.thread.functions, log=self._log,
        )  # fmt: skip
        own = {delegate.spec.name: delegate} if settings.agents.max_depth else {}
        toolbox = Toolbox(
            tools=merged(configured, own), presets=settings.presets.tools,
            always=[name for name in tools.always if name != delegate.spec.name or own],
            sources=(mcp.tools,) if settings.defined.mcp else (),
            approve=settings.presets.approve, approve_always=tools.approve,
        )  # fmt: skip
        coming = [*(f"{name}__*" for name in settings.defined.mcp), delegate.spec.name]
        if wrong := toolbox.misnamed(coming=coming):
            raise ToolsError("\n".join(wrong))
        return toolbox

    def _agents(self, toolbox: Toolbox, redactor: Redactor) -> tuple[dict[str, Agent], dict[str, Agent]]:
        """Return the user's own agents by name, and those of the models."""
        settings, limits = self._settings, self._settings.agents
        recorded = RecordedConversations(reader=self._reader, threads=self.thread.readers)
        prompts = settings.presets.agents

        def persona(preset: str) -> str:
            return prompts.get(preset, prompts["default"])  # one's own agents have a preset's name, and no prompt

        offline = OfflineModel(sleep=asyncio.sleep)
        models: dict[str, Model] = {**self._models}
        if OFFLINE in (settings.model.name, *settings.model.choices):
            models[OFFLINE] = offline

        def react(model: Model, conversations: Conversations) -> ReActAgent:
            return ReActAgent(
                model=model, toolbox=toolbox, persona=persona, workspace=self._workspace, clock=self._clock,
                redactor=redactor, conversations=conversations,
                approval_timeout_seconds=settings.tools.approval_timeout_seconds or None,
                max_tokens=limits.max_tokens, max_cost_usd=limits.max_cost_usd,
            )  # fmt: skip

        parts = AgentParts(
            model=models[settings.model.name], models=models, toolbox=toolbox, persona=persona,
            workspace=self._workspace, clock=self._clock, redactor=redactor, conversations=recorded,
        )  # fmt: skip
        own = load_agents(settings.defined.own_agents, parts=parts, search=(settings.defined.directory,))
        agents: dict[str, Agent] = {name: react(model, recorded) for name, model in models.items()}
        if OFFLINE in models:
            # Its rules look at nothing but the task: what was said before is not read for it.
            agents[OFFLINE] = OfflineAgent(react=react(offline, NothingSaid()), sleep=asyncio.sleep)
        return own, agents

    def _mcp_specs(self, environ: Mapping[str, str]) -> tuple[McpServerSpec, ...]:
        return tuple(
            McpServerSpec(
                name=name, command=one.command, args=one.args, cwd=one.cwd, url=one.url,
                headers=dict(one.headers) | {key: environ[name] for key, name in one.header_variables.items()},
                env={variable: environ[variable] for variable in one.pass_env} | dict(one.env),
                timeout_seconds=one.timeout_seconds, start_timeout_seconds=one.start_timeout_seconds,
            )
            for name, one in self._settings.defined.mcp.items()
        )  # fmt: skip

    def _secrets(self, specs: tuple[McpServerSpec, ...], environ: Mapping[str, str]) -> dict[str, str]:
        """Return what no event may tell, named as variables that have secrets are."""
        secrets = dict(environ)
        for spec in specs:
            secrets |= spec.secrets()
        keys = (self._settings.model.api_key, *(one.api_key for one in self._settings.defined.models.values()))
        return secrets | {f"MODEL_{number}_API_KEY": key for number, key in enumerate(keys)}

    def _workspace(self, task: Task) -> Path:
        return self._data.workspace(task.session_key)

    def _running_sub_agents(self) -> SubAgents:
        if self._sub_agents is None:
            raise RuntimeError("no agent runs before the actors are there")
        return self._sub_agents()

    # The end.

    def _stop(self) -> None:
        thread = self.thread

        def close_models() -> None:
            closing = [thread.loop.create_task(model.aclose()) for model in self._models.values()]
            if not closing:
                thread.stop()
                return
            all_closed = asyncio.gather(*closing, return_exceptions=True)
            all_closed.add_done_callback(lambda _: thread.stop())

        def stop_servers() -> None:
            if self._mcp is None:
                close_models()
            else:
                self._mcp.stop(then=close_models)

        if self._executor is None:
            stop_servers_on_loop = stop_servers if self._mcp is not None else thread.stop
            stop_servers_on_loop()
        else:
            self._executor.stop(then=stop_servers)
        thread.join(timeout=self._stop_within)


def _named_tools(settings: Settings) -> frozenset[str]:
    """Return the names and patterns of tools that the configuration has anywhere."""
    presets, tools = settings.presets, settings.tools
    lists = (*presets.tools.values(), *presets.approve.values(), tools.always, tools.approve)
    return frozenset(name for names in lists for name in names)
