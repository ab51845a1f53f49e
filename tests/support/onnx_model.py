"""A small model in the form that fastembed takes: a table of word vectors as ONNX, and a tokenizer of words."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace

MODEL = "BAAI/bge-small-en-v1.5"
DIMENSIONS = 384
FILE = "model_optimized.onnx"
WORDS = "[PAD] [UNK] [CLS] [SEP] alice likes green tea bruno plays chess who drinks what game".split()


def write(folder: Path) -> Path:
    """Write the model into a folder, under the name of one that the library knows; its first token stands for a text."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    configs = {
        "config.json": {"pad_token_id": 0},
        "tokenizer_config.json": {"model_max_length": 128, "pad_token": "[PAD]"},
        "special_tokens_map.json": {"pad_token": "[PAD]"},
    }
    for name, content in configs.items():
        (folder / name).write_text(json.dumps(content))
    table = np.random.default_rng(7).standard_normal((len(WORDS), DIMENSIONS)).astype(np.float32)
    rows = ["batch", "tokens"]
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])],
        "words",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, rows)],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [*rows, DIMENSIONS])],
        [numpy_helper.from_array(table, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(folder / FILE))
    return folder
