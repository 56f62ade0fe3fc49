"""collect=process: the environments and a copy of the policy in a process of their own.

Collecting and learning overlap. The process may be some iterations ahead of the learner, then it
waits; the learner waits for rows that its train ratio asks for. The policy's weights are in memory
that both share; it takes the newest before each step.
"""

import multiprocessing
import pickle
import signal
from collections.abc import Callable

import torch

from dreamkit import UserError, checkpoint
from dreamkit.collect import Collector, EnvironmentFailure, Player
from dreamkit.envs import make_many
from dreamkit.watchdog import watching


class Crash(Exception):
    """The process is gone, and what it was doing with it."""


class RemotePlayer:
    """A `Player` in another process.

    cfg     resolved configuration of the run
    seed    of environments and policy
    agent   whose weights the policy takes, at `publish`
    ahead   iterations that may be collected before they are asked for; 0: as many as can be
    """

    def __init__(self, cfg: dict, seed: int, agent, ahead: int):
        self.cfg, self.seed, self.agent, self.ahead = cfg, seed, agent, ahead
        self.context = multiprocessing.get_context("spawn")
        self.weights = {
            name: x.detach().cpu().clone().share_memory_() for name, x in tensors(agent).items()
        }
        self.version, self.lock = self.context.Value("q", 0), self.context.Lock()
        self.restarts = 0
        self.news: tuple[int, list] = (0, [])  # iterations that came in, episodes that ended
        self.start()

    def __len__(self) -> int:
        return self.cfg["envs"]

    def start(self) -> None:
        self.connection, theirs = self.context.Pipe()
        shared = (self.weights, self.version, self.lock)
        self.process = self.context.Process(
            target=work, args=(theirs, self.cfg, self.seed, *shared), daemon=True
        )
        self.process.start()
        theirs.close()
        self.credit = 0  # iterations that it may do and that have not come in

    def restart(self) -> None:
        """Begin again: new episodes, with other seeds."""
        self.connection.close()
        self.process.join(5)
        self.restarts += 1
        self.seed += 104_729
        self.start()

    def publish(self) -> None:
        """Let the policy have the agent's present weights."""
        with self.lock, torch.no_grad():
            for name, x in tensors(self.agent).items():
                self.weights[name].copy_(x)
            self.version.value += 1

    def step(self, store: Callable) -> tuple[int, list[tuple[float, int]]]:
        """Take over one iteration, or all that are there if it runs freely; see `Player.step`.

        return   iterations, (score, length) of the episodes that ended
        errors   EnvironmentFailure; Crash
        """
        limit = self.ahead or 2**40
        if self.credit <= limit // 2 or not self.ahead:
            self.send("go", limit - self.credit)
            self.credit = limit
        if self.ahead:
            self.take(store)
        while not self.ahead and self.connection.poll(0 if self.news[0] else 0.001):
            self.take(store)
        return self.take_news()

    def take_news(self) -> tuple[int, list[tuple[float, int]]]:
        """Iterations and ended episodes since the last time."""
        news, self.news = self.news, (0, [])
        return news

    def take(self, store: Callable, wanted: str = "rows"):
        """The content of the next message that is wanted; rows that come before it are stored.

        An environment that failed ahead of time is a failure only for those who want its rows.
        """
        while True:
            try:
                kind, content = receive(self.connection)
            except (EOFError, OSError):
                raise Crash(self.last_words()) from None
            if kind == "failed":
                self.credit = 0
                if wanted == "rows":
                    raise EnvironmentFailure(content)
            if kind == "rows":
                self.credit -= 1
                rows, ended = content
                for row in rows:
                    store(*row)
                self.news = (self.news[0] + 1, self.news[1] + ended)
            if kind == wanted:
                return content

    def send(self, *message) -> None:
        try:
            send(self.connection, *message)
        except OSError:
            raise Crash(self.last_words()) from None

    def last_words(self) -> str:
        self.process.join(5)
        return f"the collecting process ended with exit code {self.process.exitcode}"

    def save(self, store: Callable) -> dict:
        """What is needed to go on. Rows on their way are stored, and are news."""
        self.send("save", None)
        return self.take(store, "saved")

    def load(self, state: dict) -> list[int]:
        """Go on; the environments that could not be brought back."""
        self.publish()
        self.send("load", state)
        return self.take(lambda *row: None, "loaded")

    def close(self) -> None:
        try:
            send(self.connection, "stop", None)
            self.connection.close()  # it may be about to send what nobody wants
        except OSError:
            pass
        self.process.join(10)
        if self.process.is_alive():
            self.process.kill()


def send(connection, kind: str, content) -> None:
    connection.send_bytes(pickle.dumps((kind, content)))  # its own `send` would share tensors


def receive(connection) -> tuple:
    return pickle.loads(connection.recv_bytes())


def tensors(agent) -> dict[str, torch.Tensor]:
    """What the policy needs of an agent."""
    return dict(agent.modules.state_dict())


def work(connection, cfg: dict, seed: int, weights: dict, version, lock) -> None:
    """The process: play as long as there is credit, and answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the learner, who says what follows
    torch.set_num_threads(1)
    envs = make_many(cfg["envs"], **cfg["task"])
    agent = checkpoint.build_agent(checkpoint.header(cfg), envs[0], "cpu")
    player = Player(agent, Collector(envs, seed), cfg["mode"] == "bootstrap")
    torch.manual_seed(seed)
    credit, seen = 0, -1
    try:
        with watching(cfg["env_timeout"]):
            while True:
                while credit <= 0 or connection.poll():
                    kind, content = receive(connection)
                    if kind == "stop":
                        return
                    if kind == "go":
                        credit += content
                    if kind == "save":
                        state = player.save() | {"random": torch.get_rng_state()}
                        send(connection, "saved", state)
                    if kind == "load":
                        send(connection, "loaded", player.load(content))
                        if content.get("random") is not None:
                            torch.set_rng_state(content["random"])
                if version.value != seen:
                    with lock:
                        seen = version.value
                        agent.modules.load_state_dict(weights)
                rows = []
                try:
                    ended = player.step(lambda *row: rows.append(row))[1]  # noqa: B023
                except UserError as error:  # nothing of this step was stored
                    send(connection, "failed", str(error))
                    credit = 0
                    continue
                send(connection, "rows", (rows, ended))
                credit -= 1
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the learner is gone
    finally:
        player.collector.close()
