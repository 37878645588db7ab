"""Seeds from names."""

import hashlib
import subprocess
import sys

import torch

from synthood.common.seeds import derived_seed, generator


def test_a_seed_is_the_first_63_bits_of_the_digest_of_its_name():
    digest = hashlib.sha256(b"3/augmentation/17").digest()
    assert derived_seed(3, "augmentation", 17) == int.from_bytes(digest, "big") >> (256 - 63)


def test_seeds_of_published_results_never_change():
    assert derived_seed(0, "nuisance") == 1023122011116067626
    assert derived_seed(0, "split", 3) == 8156953702626740889


def test_names_that_differ_give_other_seeds():
    names = [(0,), (1,), (0, "a"), (0, "b"), ("a", 0), (1, 23), (12, 3), (0, "a", 1), (0, "a", 2)]
    assert len({derived_seed(*name) for name in names}) == len(names)
    assert all(0 <= derived_seed(index) < 2**63 for index in range(200))


def test_a_generator_depends_on_its_name_alone():
    first = torch.rand(5, generator=generator(0, "x"))
    torch.rand(3)
    assert torch.equal(torch.rand(5, generator=generator(0, "x")), first)
    assert not torch.equal(torch.rand(5, generator=generator(0, "y")), first)
    assert generator(0, "x").initial_seed() == derived_seed(0, "x")


def test_asking_for_a_seed_does_not_import_torch():
    code = "import sys; from synthood.common.seeds import derived_seed; derived_seed(1); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
