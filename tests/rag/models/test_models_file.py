"""`models.toml`: what it says, and what is said when it is wrong."""

from __future__ import annotations

import os

import pytest

from rag.errors import ConfigurationError
from rag.models.models_file import ModelsFile, load_models_file
from rag.settings import Settings
from rag.types.chat import Sampling

KEY = "sk-very-secret"
WHOLE = """
default = "large"
fallback = ["large", "small"]

[[model]]
name = "small"
provider = "llama_cpp"
model = "small.gguf"
gpu_layers = 0
context_window = 4096
temperature = 0.0
visible = false

[[model]]
name = "large"
provider = "openai"
base_url = "http://127.0.0.1:8001/v1"
api_key_env = "LARGE_KEY"
system_prompt = "Be brief."
first_token_timeout = 300
inter_token_timeout = 30
max_tokens = 500
top_p = 0.9
top_k = 40
stop = ["###", "User:"]
seed = 1
repetition_penalty = 1.1
presence_penalty = 0.5
frequency_penalty = -0.5

[[model]]
name = "hosted"
provider = "my.models:azure"
[model.options]
engine = "gpt"
api_key = { env = "AZURE_KEY" }

[[persona]]
name = "chef"
collection = "menus"
model = "small"
mode = "chat"
instructions = "You are a cook."
temperature = 0.9

[route]
small = "small"
large = "large"
large_cost = 2.5
"""


@pytest.fixture
def load(tmp_path):
    """Loads a file with the given text."""

    def load_text(text: str | bytes) -> ModelsFile:
        path = tmp_path / "my.toml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return load_models_file(Settings(_env_file=None, models={"file": str(path)}))

    return load_text


def test_a_whole_file_is_read(load, tmp_path):
    file = load(WHOLE)
    assert [model.name for model in file.model] == ["small", "large", "hosted"]
    small, large, hosted = file.model
    assert (small.provider, small.model, small.visible, small.gpu_layers) == ("llama_cpp", "small.gguf", False, 0)
    assert (large.visible, large.system_prompt) == (True, "Be brief.")
    assert (large.first_token_timeout, large.inter_token_timeout) == (300, 30)
    assert large.sampling == Sampling(500, 0.1, 0.9, 40, ("###", "User:"), 1, 1.1, 0.5, -0.5)
    assert hosted.options == {"engine": "gpt", "api_key": {"env": "AZURE_KEY"}}
    assert (file.default, file.fallback, file.folder) == ("large", ("large", "small"), tmp_path)
    assert file.persona[0].sampling == Sampling(temperature=0.9)
    assert file.route is not None
    assert (file.route.small_cost, file.route.large_cost) == (0.0, 2.5)


def test_no_file_is_an_empty_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_models_file(Settings(_env_file=None)) == ModelsFile()


def test_the_usual_file_is_found_in_the_folder_of_the_start(tmp_path, monkeypatch):
    (tmp_path / "models.toml").write_text('[[model]]\nname = "m"\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    file = load_models_file(Settings(_env_file=None))
    assert [model.name for model in file.model] == ["m"]
    assert file.folder == tmp_path


def test_a_file_that_is_named_must_be_there(tmp_path):
    with pytest.raises(ConfigurationError, match=r"none\.toml cannot be read: No such file") as raised:
        load_models_file(Settings(_env_file=None, models={"file": str(tmp_path / "none.toml")}))
    assert "RAG_MODELS__FILE" in raised.value.hint


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_models_file(Settings(_env_file=None, models={"file": str(tmp_path)}))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_said(load, tmp_path):
    load("")
    (tmp_path / "my.toml").chmod(0)
    with pytest.raises(ConfigurationError, match="Permission denied"):
        load_models_file(Settings(_env_file=None, models={"file": str(tmp_path / "my.toml")}))


@pytest.mark.parametrize("text", ["name: m", "[[model]\n", 'a = "', b"\xff\xfe[\0", 'default = "a"\ndefault = "b"'])
def test_what_is_no_toml_is_said(load, text):
    with pytest.raises(ConfigurationError, match=r"my\.toml is not TOML") as raised:
        load(text)
    assert "docs/models.md" in raised.value.hint


MODEL = '[[model]]\nname = "m"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[model]]\n", r"\(model 1 name\): field required"),
        ('[[model]]\nname = ""\n', r"\(model 1 name\): string should have at least 1 character"),
        ('[[model]]\nname = "a b"\n', r"\(model 1 name\): string should match pattern"),
        ('[[model]]\nname = "/b"\n', r"\(model 1 name\): string should match pattern"),
        (MODEL + 'provider = "opnai"\n', r"\(model 1 provider\): should be one of auto, openai, .*package.module:fun"),
        (MODEL + "temperature = 9\n", r"\(model 1 temperature\): input should be less than or equal to 2"),
        (MODEL + "max_tokens = 'many'\n", r"\(model 1 max_tokens\): input should be a valid integer"),
        (MODEL + "temprature = 1\n", r"\(model 1 temprature\): extra inputs are not permitted"),
        (
            MODEL + "[[model]]\nname = 'n'\nfirst_token_timeout = 0\n",
            r"\(model 2 first_token_timeout\): input should be greater than 0",
        ),
        (MODEL + MODEL, r"two \[\[model\]\] have the name 'm'"),
        ("models = []\n", r"\(models\): extra inputs are not permitted"),
        ("model = 3\n", r"\(model\): input should be a valid tuple"),
        ('default = "x"\n' + MODEL, r"no \[\[model\]\] with the name 'x' \(there are: m\)"),
        ('fallback = ["m", "x"]\n' + MODEL, r"no \[\[model\]\] with the name 'x'"),
        (MODEL + '[[persona]]\nname = "p"\nmodel = "x"\n', r"no \[\[model\]\] with the name 'x'"),
        (MODEL + '[[persona]]\nname = "p"\n[[persona]]\nname = "p"\n', r"two \[\[persona\]\] have the name 'p'"),
        (MODEL + '[[persona]]\nname = "p"\nmode = "sing"\n', r"\(persona 1 mode\): input should be 'documents' or"),
        (MODEL + '[route]\nsmall = "m"\n', r"\(route large\): field required"),
        (MODEL + '[route]\nsmall = "m"\nlarge = "x"\n', r"no \[\[model\]\] with the name 'x'"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(load, text, said):
    with pytest.raises(ConfigurationError, match=rf"my\.toml is not valid.*{said}") as raised:
        load(text)
    assert "docs/models.md" in raised.value.hint


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (f'{MODEL}api_key = "{KEY}"\n', "api_key"),
        (f'{MODEL}[model.options]\napi_key = "{KEY}"\n', "api_key"),
        (f'{MODEL}options = {{ inner = {{ aws_secret_access_key = "{KEY}" }} }}\n', "aws_secret_access_key"),
        (f'{MODEL}options = {{ list = [{{ Password = "{KEY}" }}] }}\n', "Password"),
        (f'{MODEL}options = {{ hf_token = "{KEY}" }}\n', "hf_token"),
        (f'api_key = "{KEY}"\n{MODEL}', "api_key"),
    ],
)
def test_a_secret_in_the_file_is_refused_and_never_told(load, text, name):
    with pytest.raises(ConfigurationError, match=f"has a secret in it: {name}") as raised:
        load(text)
    assert "environment variable" in raised.value.hint
    assert KEY not in f"{raised.value.message} {raised.value.hint} {raised.value!r} {raised.value.__cause__!r}"


def test_what_only_looks_like_a_secret_is_taken(load):
    text = f'{MODEL}max_tokens = 99\noptions = {{ tokenizer_name = "x", keys = 3, monkey = "y", api_key_id = "z" }}\n'
    assert load(text).model[0].options["tokenizer_name"] == "x"


def test_a_key_of_a_wrong_kind_is_not_told(load):
    with pytest.raises(ConfigurationError, match=r"\(model 1 api_key\)") as raised:
        load(f"{MODEL}api_key = [123454321]\n")
    assert "123454321" not in f"{raised.value.message} {raised.value.hint}"


def test_a_key_comes_from_the_environment_and_is_not_shown(load, monkeypatch):
    model = load(f'{MODEL}api_key_env = "MY_KEY"\n').model[0]
    with pytest.raises(ConfigurationError, match="MY_KEY is not set; it should have the API key of m"):
        model.key()
    monkeypatch.setenv("MY_KEY", KEY)
    assert model.key().get_secret_value() == KEY
    assert KEY not in f"{model!r} {model.key()}"
    assert load(MODEL).model[0].key().get_secret_value() == ""
