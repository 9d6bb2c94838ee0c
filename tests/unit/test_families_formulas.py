"""Losses and samplers of the families against closed forms."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from generators import latent
from generators.adversary import discriminator_loss, generator_loss, gradient_penalty
from generators.diffusion import alphas_bar, ddim, guided, noised
from generators.encoder_decoder import divergence, pyramid_loss
from generators.facenet import CONTRAST, TEMPERATURE, contrasted, retaken
from generators.layers import Film, softened

# Diffusion


def test_the_noise_of_ddpm_ends_where_the_paper_says():
    """1 - 0.0001 after the first step; 4.036e-5 after the last: a divergence of 1e-5 bits a value from N(0, I)."""
    a = alphas_bar(1000)
    assert a.shape == (1001,)
    assert float(a[0]) == 1
    assert float(a[1]) == pytest.approx(1 - 1e-4, abs=1e-7)
    assert float(a[-1]) == pytest.approx(4.036e-5, rel=1e-3)
    assert bool((a.diff() < 0).all())


@pytest.mark.parametrize("timesteps", [10, 100, 1000])
def test_fewer_timesteps_end_in_noise_too(timesteps: int):
    assert float(alphas_bar(timesteps)[-1]) < 1e-3


def test_noising_keeps_unit_variance():
    torch.manual_seed(0)
    x, epsilon = torch.randn(2, 20_000, 4)
    for a in (1.0, 0.7, 0.1):
        assert float(noised(x, torch.full((20_000, 1), a), epsilon).var()) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("deviation", [0.5, 1.0, 2.0])
def test_ddim_turns_noise_into_the_gaussian_that_was_learned(deviation: float):
    """Of x_0 ~ N(m, s^2): epsilon(x, t) = sqrt(1 - a)(x - sqrt(a) m) / (a s^2 + 1 - a), and DDIM's flow keeps
    (x - sqrt(a) m) / sqrt(a s^2 + 1 - a) as it is. With all 1000 steps that is met to within 1 %."""
    a, mean, s2 = alphas_bar(1000), 0.7, deviation**2

    def predict(x: Tensor, t: int) -> Tensor:
        return (1 - a[t]).sqrt() * (x - a[t].sqrt() * mean) / (a[t] * s2 + 1 - a[t])

    start = torch.linspace(-2, 2, 9)[:, None]
    at_end = (start - a[-1].sqrt() * mean) / (a[-1] * s2 + 1 - a[-1]).sqrt() * deviation + mean
    torch.testing.assert_close(ddim(predict, start, a, 1000), at_end, atol=0.02, rtol=0.01)


def test_ddim_of_one_step_is_the_networks_first_guess():
    """x_0 = (x_T - sqrt(1 - a_T) epsilon) / sqrt(a_T): DDIM, eq. 9, at alpha-bar_0 = 1."""
    a, x = alphas_bar(10), torch.tensor([[0.3, -1.0]])
    epsilon = torch.tensor([[0.5, -0.25]])
    torch.testing.assert_close(ddim(lambda _, __: epsilon, x, a, 1), (x - (1 - a[-1]).sqrt() * epsilon) / a[-1].sqrt())


def test_guidance_extrapolates_away_from_what_anybody_would_be():
    conditional, unconditional = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0])
    assert guided(conditional, unconditional, 0).tolist() == [1, 2]
    assert guided(conditional, unconditional, 2).tolist() == [3, -2]


# GAN


def test_the_penalty_of_a_linear_discriminator_is_half_the_square_of_its_weights():
    torch.manual_seed(1)
    weights, images = torch.randn(3, 8, 8), torch.randn(5, 3, 8, 8).requires_grad_()
    logits = (images * weights).sum(dim=(1, 2, 3))
    assert float(gradient_penalty(logits, images)) == pytest.approx(float(weights.square().sum()) / 2, rel=1e-5)


def test_who_cannot_tell_real_from_fake_loses_two_bits():
    """-log 1/2 on either side, in nats: Goodfellow et al., theorem 1, 2 log 2."""
    nothing = torch.zeros(7)
    assert float(discriminator_loss(nothing, nothing)) == pytest.approx(2 * math.log(2))
    assert float(generator_loss(nothing)) == pytest.approx(math.log(2))


def test_a_generator_that_is_found_out_still_learns():
    """The non-saturating loss: its gradient is largest where the discriminator is sure that it is fake."""
    sure = torch.tensor([-20.0], requires_grad=True)
    generator_loss(sure).backward()
    assert sure.grad is not None
    assert float(sure.grad) == pytest.approx(-1, abs=1e-6)


# Encoder-decoder


@pytest.mark.parametrize(("mean", "variance"), [(0.0, 1.0), (1.5, 1.0), (0.0, 0.25), (-0.5, 3.0)])
def test_the_divergence_is_that_of_two_gaussians(mean: float, variance: float):
    shape = (2, 4, 1, 1)
    told = divergence(torch.full(shape, mean), torch.full(shape, math.log(variance)))
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, variance**0.5), torch.distributions.Normal(0.0, 1.0)
    )
    assert told.tolist() == pytest.approx([4 * float(expected)] * 2)


def test_the_pyramid_sees_a_constant_difference_at_every_scale():
    x = torch.rand(2, 3, 16, 16)
    assert float(pyramid_loss(x, x + 0.25)) == pytest.approx(4 * 0.25, rel=1e-5)
    assert float(pyramid_loss(x, x)) == 0


def test_the_pyramid_minds_detail_less_than_shape():
    checks = torch.ones(1, 3, 16, 16)
    checks[..., ::2, ::2] = checks[..., 1::2, 1::2] = -1
    assert float(pyramid_loss(checks, torch.zeros(1, 3, 16, 16))) == pytest.approx(1)  # gone once it is halved


# Identities


def test_no_image_has_what_changes_from_each_pixel_to_the_next():
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    for pattern in (rows, columns, rows + columns):
        checks = (0.5 * (-1.0) ** pattern)[None, None]
        assert float(softened(checks)[..., 1:-1, 1:-1].abs().max()) < 1e-6
    ramp = columns.float()[None, None]
    torch.testing.assert_close(softened(ramp)[..., 1:-1], ramp[..., 1:-1])


def test_a_new_layer_passes_normalised_features_on_whoever_is_asked_for():
    torch.manual_seed(2)
    film = Film(32, 8)
    torch.nn.init.zeros_(film.modulation.weight)
    x = torch.randn(2, 32, 4, 4) * 3 + 1
    torch.testing.assert_close(film(x, torch.randn(2, 8)), film.norm(x))


def test_a_face_that_is_everybodys_a_little_costs_more_than_its_cosine():
    """Two identities at a cosine of c: seen as the wanted one it costs log(1 + exp((c - 1) / t)), halfway log 2."""
    one, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8]])
    both = torch.cat([one, other])
    halfway = torch.nn.functional.normalize(one + other, dim=1)
    seen = float(contrasted(one, one, both))
    assert seen == pytest.approx(CONTRAST * math.log(1 + math.exp(-0.4 / TEMPERATURE)), abs=1e-6)
    told = float(contrasted(halfway, one, both))
    assert told == pytest.approx(1 - float((halfway @ one.T)[0, 0]) + CONTRAST * math.log(2), abs=1e-6)


def test_where_a_face_is_stays_known_however_it_is_taken_again():
    images, boxes = -torch.ones(64, 3, 64, 64), torch.tensor([[8.0, 16.0, 28.0, 44.0]]).repeat(64, 1)
    images[:, :, 24:36, 14:22] = 1  # a face, on the left of the picture
    taken, moved = retaken(images, boxes, np.random.default_rng(1))
    assert {bool(left > 32) for left in moved[:, 0]} == {False, True}  # mirrored and not
    for image, (left, top, right, bottom) in zip(taken, moved.int().tolist(), strict=True):
        inside = image[:, top:bottom, left:right]
        assert float(inside.max()) > 0.5
        assert float((image > 0).sum()) == float((inside > 0).sum())


def test_a_face_is_taken_again_in_the_same_way_by_the_same_draw_alone():
    images, boxes = torch.zeros(4, 3, 64, 64), torch.tensor([[8.0, 8.0, 56.0, 56.0]]).repeat(4, 1)
    first, again, other = (retaken(images, boxes, np.random.default_rng(seed))[0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("strength", [0.0, 0.3, 0.6, 1.0])
def test_wandering_from_an_identity_takes_the_similarity_down_as_told(strength: float):
    """sqrt(1 - s^2) on average: with 128 values each differs from that by 0.09, and the mean of 400 by 0.005."""
    draw = np.random.default_rng(3)
    identities = draw.standard_normal((400, 128)).astype(np.float32)
    identities /= np.linalg.norm(identities, axis=1, keepdims=True)
    wandered = latent.wander_on_sphere(identities, range(400), np.full(400, strength, dtype=np.float32))
    np.testing.assert_allclose(np.linalg.norm(wandered, axis=1), 1, rtol=1e-5)
    assert float((identities * wandered).sum(axis=1).mean()) == pytest.approx(math.sqrt(1 - strength**2), abs=0.02)


def test_what_is_drawn_of_a_seed_is_not_the_noise_by_which_it_wanders():
    nought = np.zeros((1, 256), dtype=np.float32)
    noise = latent.wander(nought, [7], np.ones(1, dtype=np.float32))
    drawn = latent.drawn([7], 256)
    cosine = float((noise @ drawn.T)[0, 0] / np.linalg.norm(noise) / np.linalg.norm(drawn))
    assert abs(cosine) < 0.3  # five standard deviations
    np.testing.assert_array_equal(drawn, latent.drawn([7], 256))
