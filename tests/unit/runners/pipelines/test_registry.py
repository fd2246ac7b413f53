import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from runners.pipelines import registry
from runners.pipelines.registry import BadPipeline, UnknownPipeline, catalog, load
from runners.spec import PipelineInfo

OWN = '''
from pydantic import Field
from runners.sdk import BaseParams, Frame, Picture, Pipeline


class Negative(Pipeline):
    """The picture, inverted.

    More words that a short description leaves out.
    """

    name = "negative"
    title = "Negative"

    class Params(BaseParams):
        amount: float = Field(1.0, ge=0, le=1, description="How far to go.")

    params: Params

    def process(self, frame: Frame) -> Picture:
        return 255 - frame.rgb


class Needy(Negative):
    class Params(BaseParams):
        amount: float


class Untold(Pipeline):
    title = "Has no name"


not_a_class = 3
'''


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "my_effect.py"
    path.write_text(OWN)
    return path


@pytest.fixture(scope="module")
def everything() -> list[PipelineInfo]:
    return catalog(["effects"])


def test_looking_a_name_up_loads_no_pixels() -> None:
    script = (
        "import sys\n"
        "from runners.pipelines import registry\n"
        "registry.expand(['effects']), registry.references(['toon'])\n"
        "print(sorted({'cv2', 'numpy'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (ran.stdout, ran.stderr) == ("[]\n", "")


def test_effects_means_every_built_in_pipeline(everything: list[PipelineInfo]) -> None:
    assert [info.name for info in everything] == list(registry.BUILT_IN)


def test_each_pipeline_is_called_what_the_registry_calls_it() -> None:
    assert {name: load(name).name for name in registry.BUILT_IN} == {
        name: name for name in registry.BUILT_IN
    }


def test_each_pipeline_says_in_a_sentence_what_it_does(everything: list[PipelineInfo]) -> None:
    assert [info.name for info in everything if not info.description.endswith(".")] == []
    assert len({info.title for info in everything}) == len(everything)


def test_defaults_satisfy_their_schema(everything: list[PipelineInfo]) -> None:
    for info in everything:
        jsonschema.Draft202012Validator.check_schema(info.schema)
        jsonschema.validate(info.defaults, info.schema)


def test_a_page_can_make_a_form_of_every_parameter(everything: list[PipelineInfo]) -> None:
    for info in everything:
        assert info.schema["type"] == "object"
        assert info.schema["additionalProperties"] is False
        assert set(info.schema["properties"]) == set(info.defaults)
        for name, field in info.schema["properties"].items():
            where = f"{info.name}.{name}"
            assert field["title"], where
            assert field["description"].endswith("."), where
            assert field["default"] == info.defaults[name], where
            match field["type"]:
                case "number" | "integer":
                    assert field["minimum"] < field["maximum"], where
                    assert field["type"] == "integer" or field["x-step"] > 0, where
                case "string":
                    assert {"enum", "pattern", "maxLength"} & set(field), where
                case other:
                    assert other == "boolean", where


def test_names_are_taken_in_order_and_once() -> None:
    assert registry.expand(["neon", "toon", "neon"]) == ["neon", "toon"]
    assert registry.expand(["passthrough", "effects"])[0] == "passthrough"
    assert len(registry.expand(["passthrough", "effects"])) == len(registry.BUILT_IN)


def test_a_misspelt_name_is_answered_with_the_near_one() -> None:
    with pytest.raises(UnknownPipeline, match="did you mean 'toon'") as caught:
        catalog(["tooon"])
    assert caught.value.near == "toon"


def test_a_name_like_no_other_is_answered_with_all_of_them() -> None:
    with pytest.raises(UnknownPipeline, match=r"known: ascii, .*trails") as caught:
        load("zzzzzz")
    assert caught.value.near is None


def test_a_file_of_ones_own_is_loaded_by_path_and_class(own: Path) -> None:
    (info,) = catalog([f"{own}:Negative"])
    assert (info.name, info.title) == ("negative", "Negative")
    assert info.description == "The picture, inverted."
    assert info.defaults == {"amount": 1.0}


def test_a_file_may_be_named_relative_to_where_one_is(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own.parent)
    assert load("./my_effect.py:Negative") is load(f"{own}:Negative")


def test_an_installed_package_is_loaded_by_module_and_class() -> None:
    assert load("runners.pipelines.toon:Toon") is load("toon")


def test_references_lead_back_from_each_name_to_what_loads_it(own: Path) -> None:
    assert registry.references(["toon", f"{own}:Negative"]) == {
        "toon": "toon",
        "negative": f"{own}:Negative",
    }


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("./missing.py:Effect", "no such file"),
        ("no.such.package:Effect", "cannot import no.such.package"),
        ("{own}:Absent", "has no 'Absent'; it has Needy, Negative, Untold"),
        ("{own}:not_a_class", "not a subclass"),
        ("{own}:Untold", "has no 'name'"),
        ("{own}:Needy", "without a valid default: amount"),
        ("runners.spec:PipelineInfo", "not a subclass"),
    ],
)
def test_what_is_not_a_pipeline_is_refused_with_the_reason(
    own: Path, reference: str, reason: str
) -> None:
    with pytest.raises(BadPipeline, match=reason):
        load(reference.replace("{own}", str(own)))


def test_a_file_that_does_not_parse_is_refused_and_can_be_mended(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("class Effect(:")
    with pytest.raises(BadPipeline, match="cannot import"):
        load(f"{path}:Effect")
    path.write_text(OWN)
    assert load(f"{path}:Negative").name == "negative"
