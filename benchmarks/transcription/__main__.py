"""Speed of catgen beside a plain PyTorch transcription of the paper's networks, by turns, on the device that there is.

  python -m benchmarks.transcription --subjects=text,unet

text: a training step of the paper's text network with the multinomial loss and Adam, float32 (TF32 where the device has
it). unet: the same of the paper's U-Net, and a reverse step of sampling. The transcriptions are written from the
paper's equations and sizes, not from anyone's code; they are neither compiled nor fused.
"""

import sys

from benchmarks.transcription import comparison
from catgen.runs.command import Command
from launch import cli

if __name__ == "__main__":
  sys.exit(cli.main(__doc__, None, Command(comparison.compare, comparison.describe)))
