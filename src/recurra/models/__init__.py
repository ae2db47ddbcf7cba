"""Networks typed by shape: what goes in, what comes out, blind to the task."""

from recurra.models.decoding import Generated, Writing
from recurra.models.echo_checks import EchoStateCheck, check_echo_state, valid_steps
from recurra.models.echo_parts import EchoState
from recurra.models.echo_state import Continuation, EchoStateNetwork
from recurra.models.encoder_decoder import EncoderDecoder
from recurra.models.generation import Answers
from recurra.models.memory import Decoded, DecoderState, Memory
from recurra.models.plan import NetworkOptions, Plan, make_plan
from recurra.models.reservoir_search import Search, Trial, search_reservoir
from recurra.models.seq2seq import Seq2Seq, shift
from recurra.models.seq2vec import Seq2Vec
from recurra.models.vec2seq import Vec2Seq
from recurra.models.window import WindowConfig, WindowNetwork

__all__ = [
    "Answers",
    "Continuation",
    "Decoded",
    "DecoderState",
    "EchoState",
    "EchoStateCheck",
    "EchoStateNetwork",
    "EncoderDecoder",
    "Generated",
    "Memory",
    "NetworkOptions",
    "Plan",
    "Search",
    "Seq2Seq",
    "Seq2Vec",
    "Trial",
    "Vec2Seq",
    "WindowConfig",
    "WindowNetwork",
    "Writing",
    "check_echo_state",
    "make_plan",
    "search_reservoir",
    "shift",
    "valid_steps",
]
