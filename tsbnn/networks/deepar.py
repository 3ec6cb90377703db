"""DeepAR: an LSTM over tokens of lagged targets."""

# GluonTS's `validated` reads the annotations of a constructor at run time, as objects.
# ruff: noqa: I002

from gluonts.torch.distributions import DistributionOutput, StudentTOutput
from torch import Tensor

from tsbnn.networks.autoregressive import AutoregressiveNetwork
from tsbnn.networks.checks import check_whole
from tsbnn.networks.lstm import LSTM, State
from tsbnn.networks.validated import validated

STUDENT_T = StudentTOutput()


class DeepAR(AutoregressiveNetwork):
    """Autoregressive LSTM (Salinas et al., arXiv 1704.04110).

    At equal weights its distributions are those of GluonTS's ``DeepARModel``, from which
    :func:`tsbnn.networks.from_gluonts` copies them; parameters have the same names, order and
    initial values.

    Parameters
    ----------
    context_length, prediction_length, lags_seq, num_feat_dynamic_real, num_feat_static_real
    num_feat_static_cat, cardinality, num_past_feat_dynamic_real, embedding_dimension
    dropout_rate, distr_output, scaling, default_scale, num_parallel_samples
    nonnegative_pred_samples
        As those of :class:`AutoregressiveNetwork` and its base;
        dropout acts between the layers.
    num_layers, hidden_size
        Of the LSTM.
    """

    @validated()
    def __init__(
        self,
        context_length: int,
        prediction_length: int,
        lags_seq: list[int],
        num_feat_dynamic_real: int = 0,
        num_past_feat_dynamic_real: int = 0,
        num_feat_static_real: int = 0,
        num_feat_static_cat: int = 0,
        cardinality: list[int] | None = None,
        embedding_dimension: list[int] | None = None,
        num_layers: int = 2,
        hidden_size: int = 40,
        dropout_rate: float = 0.1,
        distr_output: DistributionOutput = STUDENT_T,
        scaling: bool | str | None = "mean",
        default_scale: float | None = None,
        num_parallel_samples: int = 100,
        nonnegative_pred_samples: bool = False,
    ) -> None:
        hidden_size = check_whole(hidden_size, "hidden_size")
        super().__init__(
            context_length=context_length,
            prediction_length=prediction_length,
            lags_seq=lags_seq,
            num_feat_dynamic_real=num_feat_dynamic_real,
            num_past_feat_dynamic_real=num_past_feat_dynamic_real,
            num_feat_static_real=num_feat_static_real,
            num_feat_static_cat=num_feat_static_cat,
            cardinality=cardinality,
            embedding_dimension=embedding_dimension,
            dropout_rate=dropout_rate,
            distr_output=distr_output,
            scaling=scaling,
            default_scale=default_scale,
            num_parallel_samples=num_parallel_samples,
            nonnegative_pred_samples=nonnegative_pred_samples,
            width=hidden_size,
        )
        self.rnn = LSTM(
            self.input_size, hidden_size, check_whole(num_layers, "num_layers"), self.dropout_rate
        )

    def encode(self, tokens: Tensor, static_cat: Tensor | None) -> tuple[Tensor, State]:
        """Read tokens in time order; the state is the LSTM's, ``layers x batch x hidden_size``."""
        output, state = self.rnn(self.embedded(tokens, static_cat))
        return output, state

    def branch(self, state: State, num_paths: int) -> State:
        """Repeat each series' state for its paths, ``layers x (batch * paths) x hidden_size``."""
        hidden, cell = state
        return (
            hidden.repeat_interleave(num_paths, dim=1),
            cell.repeat_interleave(num_paths, dim=1),
        )

    def advance(
        self, tokens: Tensor, static_cat: Tensor | None, state: State
    ) -> tuple[Tensor, State]:
        """Read one token of each path, ``batch x paths x num_features``."""
        tokens = self.embedded(tokens, static_cat)
        output, state = self.rnn(tokens.flatten(0, 1).unsqueeze(1), state)
        return output.view(*tokens.shape[:2], -1), state
