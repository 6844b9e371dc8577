"""Write the network and its vocabulary as a GGUF that llama.cpp loads like any Qwen3.

This includes the metadata, the chat template and the quantisation (matrices Q8_0, norms F32). The file
is written next to its target and renamed. A width that Q8_0 cannot hold is refused.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
from tokenizers import Tokenizer

from trainer.starter.model import Starter
from trainer.starter.vocabulary import CONTROL, THINK, merges, tokens

TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n'"
    " + message['content'] | trim + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
DESCRIPTION = (
    "The starter model of Discern: a very small Qwen3 that knows a few hundred facts in English and "
    "Russian, says so when it does not know, and repeats what a recalled difference tells it."
)
_GLOBAL = {"token_embd.weight": "token_embd.weight", "output_norm": "output_norm.weight"}


def write(model: Starter, tokenizer: Tokenizer, path: Path, *, version: str = "1") -> None:
    """Write `model` with `tokenizer` to `path` as Q8_0.

    Raises:
        ValueError: the rows of a matrix are not a multiple of 32.
    """
    shape = model.shape
    new = path.with_suffix(".new")
    writer = gguf.GGUFWriter(str(new), "qwen3")
    writer.add_name("Discern starter")
    writer.add_version(version)
    writer.add_description(DESCRIPTION)
    writer.add_license("apache-2.0")
    writer.add_languages(["en", "ru"])
    writer.add_sampling_temp(0.0)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_key_length(shape.head)
    writer.add_value_length(shape.head)
    writer.add_rope_freq_base(shape.theta)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _vocabulary(writer, tokenizer)
    for name, weight in model.state_dict().items():
        values = weight.detach().float().numpy()
        name = _GLOBAL.get(name, name if name.endswith(".weight") else f"{name}.weight")
        if values.ndim == 1:
            writer.add_tensor(name, values.astype(np.float32))
            continue
        if values.shape[1] % 32:
            raise ValueError(f"{name}: rows of {values.shape[1]} are no multiple of 32 for Q8_0")
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    new.replace(path)


def _vocabulary(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    texts = tokens(tokenizer)
    kinds = [
        gguf.TokenType.CONTROL
        if text in CONTROL
        else gguf.TokenType.USER_DEFINED
        if text in THINK
        else gguf.TokenType.NORMAL
        for text in texts
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(texts)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges(tokenizer))
    writer.add_eos_token_id(texts.index("<|im_end|>"))
    writer.add_eot_token_id(texts.index("<|im_end|>"))
    writer.add_pad_token_id(texts.index("<|endoftext|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
