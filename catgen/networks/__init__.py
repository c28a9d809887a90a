"""Networks: Flax modules from arrays to arrays, without probability.

A denoiser is called as network(x, time, *, valid, keys) -> logits, a causal network as network(x, *, valid, keys).
"""

from catgen.kinds import Kind, Registry
from catgen.networks.causal_transformer import CausalTransformer
from catgen.networks.linear_attention_unet import LinearAttentionUNet
from catgen.networks.local_linear_transformer import LocalLinearTransformer
from catgen.networks.transformer import Transformer
from catgen.networks.unet import UNet

NETWORKS: Registry = {
  "transformer": Kind(Transformer),
  "local_linear_transformer": Kind(LocalLinearTransformer),
  "causal_transformer": Kind(CausalTransformer),
  "unet": Kind(UNet),
  "linear_attention_unet": Kind(LinearAttentionUNet),
}
