/* convert_pickle_names.c - the constructors that a pickle may name. They are never called: the list only bounds what
 * files are accepted. SPDX-License-Identifier: Apache-2.0 */
#include "convert/convert_pickle_internal.h"

#include <string.h>

/* The constructors in checkpoints of PyTorch Lightning; '*' at the end matches any rest of a name. Published
 * checkpoints hold settings and tokenisers as objects of omegaconf and transformers: these are skipped. */
static const char *const known[] = {
    "collections OrderedDict",
    "collections defaultdict",
    "torch Size",
    "torch device",
    "torch float32",
    "torch float16",
    "torch bfloat16",
    "torch int64",
    "torch FloatStorage",
    "torch HalfStorage",
    "torch BFloat16Storage",
    "torch DoubleStorage",
    "torch LongStorage",
    "torch IntStorage",
    "torch ShortStorage",
    "torch CharStorage",
    "torch ByteStorage",
    "torch BoolStorage",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "__builtin__ *",
    "builtins *",
    "typing Any",
    "_codecs encode",
    "numpy dtype",
    "numpy ndarray",
    "numpy.core.multiarray scalar",
    "numpy.core.multiarray _reconstruct",
    "numpy._core.multiarray scalar",
    "numpy._core.multiarray _reconstruct",
    "pathlib Path",
    "pathlib PosixPath",
    "omegaconf.base *",
    "omegaconf.dictconfig DictConfig",
    "omegaconf.listconfig ListConfig",
    "omegaconf.nodes *",
    "lightning.fabric.utilities.data AttributeDict",
    "lightning_fabric.utilities.data AttributeDict",
    "tokenizers Tokenizer",
    "tokenizers AddedToken",
    "tokenizers.models Model",
    "transformers.models.gpt2.tokenization_gpt2_fast GPT2TokenizerFast",
    "transformers.models.bert.tokenization_bert BertTokenizer",
    "transformers.models.bert.tokenization_bert BasicTokenizer",
    "transformers.models.bert.tokenization_bert WordpieceTokenizer",
    "transformers.tokenization_utils Trie",
    "transformers.models.bert.tokenization_bert_fast BertTokenizerFast",
};
/* Of Python's builtins only the types of plain values are allowed. */
static const char *const plain[] = {"dict", "list",    "set",  "frozenset", "tuple",     "int",    "float",  "str",
                                    "long", "unicode", "bool", "bytes",     "bytearray", "object", "complex"};

bool flm_pickle_name_is_allowed(const char *text, size_t bytes)
{
    const char *space = memchr(text, ' ', bytes);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const size_t length = strlen(known[i]);
        if (known[i][length - 1] != '*') {
            if (length == bytes && memcmp(known[i], text, bytes) == 0) return true;
            continue;
        }
        if (bytes < length || memcmp(known[i], text, length - 1) != 0) continue;
        if (strstr(known[i], "builtin") == NULL) return true;
        for (size_t k = 0; k < sizeof plain / sizeof plain[0]; k++)
            if (strlen(plain[k]) == bytes - (size_t)(space + 1 - text) &&
                memcmp(plain[k], space + 1, strlen(plain[k])) == 0)
                return true;
    }
    return false;
}
