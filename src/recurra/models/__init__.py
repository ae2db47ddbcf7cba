"""Networks typed by shape: what goes in, what comes out, blind to the task."""

from recurra.models.attention_decoder import Decoded, DecoderState, Memory
from recurra.models.decoding import Generated
from recurra.models.echo_state import EchoStateNetwork, Forgetting, forgetting, valid_steps
from recurra.models.encoder_decoder import EncoderDecoder
from recurra.models.plan import NetworkOptions, Plan, make_plan
from recurra.models.reservoir_search import Search, Trial, search_reservoir
from recurra.models.seq2seq import Seq2Seq, shift
from recurra.models.seq2vec import Seq2Vec
from recurra.models.vec2seq import Vec2Seq
from recurra.models.window import WindowConfig, WindowNetwork

__all__ = [
    "Decoded",
    "DecoderState",
    "EchoStateNetwork",
    "EncoderDecoder",
    "Forgetting",
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
    "forgetting",
    "make_plan",
    "search_reservoir",
    "shift",
    "valid_steps",
]
