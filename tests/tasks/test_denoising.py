import diffusers
import pytest
import torch

from hwlit.tasks.denoising import min_snr_weights, noised, squared_errors, target, with_prior

SCHEDULE = diffusers.DDPMScheduler(
    beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000
)
ALPHAS = SCHEDULE.alphas_cumprod
TIMESTEPS = torch.tensor([0, 10, 500, 999])


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 4, 3, 5, 5, generator=generator, dtype=torch.float64).unbind(0)


def test_noise_is_added_as_diffusers_does(pair):
    latents, noise = pair
    found = noised(latents, noise, ALPHAS[TIMESTEPS])
    torch.testing.assert_close(found, SCHEDULE.add_noise(latents, noise, TIMESTEPS))


def test_the_target_is_the_noise_or_the_velocity(pair):
    latents, noise = pair
    alphas = ALPHAS[TIMESTEPS]
    assert torch.equal(target("epsilon", latents, noise, alphas), noise)
    velocity = target("v_prediction", latents, noise, alphas)
    torch.testing.assert_close(velocity, SCHEDULE.get_velocity(latents, noise, TIMESTEPS))
    # Latents and noise follow from what the network sees and the velocity: a rotation.
    a = alphas.double().view(-1, 1, 1, 1)
    seen = noised(latents, noise, alphas)
    torch.testing.assert_close(a.sqrt() * seen - (1 - a).sqrt() * velocity, latents)
    torch.testing.assert_close((1 - a).sqrt() * seen + a.sqrt() * velocity, noise)


def test_min_snr_weights_are_those_of_the_paper():
    alphas = torch.tensor([0.0, 0.5, 5 / 6, 0.99], dtype=torch.float64)  # snr 0, 1, 5, 99
    snr = torch.tensor([0.0, 1.0, 5.0, 99.0], dtype=torch.float64)
    epsilon = min_snr_weights("epsilon", alphas, 5.0)
    torch.testing.assert_close(epsilon, torch.tensor([1, 1, 1, 5 / 99], dtype=torch.float64))
    velocity = min_snr_weights("v_prediction", alphas, 5.0)
    wanted = torch.tensor([0, 1 / 2, 5 / 6, 5 / 100], dtype=torch.float64)
    torch.testing.assert_close(velocity, wanted)
    # Both say the same of the error in the latents: the velocity's is snr + 1 times as heavy.
    torch.testing.assert_close((epsilon * snr)[1:], (velocity * (snr + 1))[1:])


def test_errors_are_means_over_elements(pair):
    wanted = ((pair[0] - pair[1]) ** 2).mean(dim=(1, 2, 3))
    torch.testing.assert_close(squared_errors(*pair), wanted)
    halves = [tensor.bfloat16() for tensor in pair]
    assert squared_errors(*halves).dtype == torch.float32


def test_the_prior_loss_has_the_gradient_of_two_separate_losses():
    weight = torch.tensor([0.3, -0.7], dtype=torch.float64, requires_grad=True)
    inputs = torch.randn(6, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    prior = torch.tensor([False, True, False, True, True, False])
    weights = torch.tensor([0.5, 9.0, 2.0, 9.0, 9.0, 1.0], dtype=torch.float64)

    def losses():
        return (inputs @ weight - 1) ** 2

    instance, other = with_prior(losses(), prior, weights)
    together = torch.autograd.grad(instance + 0.25 * other, weight)[0]
    alone = torch.autograd.grad((weights * losses())[~prior].mean(), weight)[0]
    of_class = torch.autograd.grad(losses()[prior].mean(), weight)[0]
    torch.testing.assert_close(together, alone + 0.25 * of_class)
    assert float(of_class.abs().min()) > 0.01


def test_without_class_rows_there_is_no_prior_loss():
    ones = torch.ones(3)
    assert with_prior(2 * ones, torch.zeros(3, dtype=torch.bool), ones) == (2.0, None)


def test_only_valid_cells_count_and_channels_are_averaged(pair):
    one, other = pair
    valid = torch.zeros(4, 1, 5, 5, dtype=torch.float64)
    valid[:, :, 1:4, 2:] = 1
    inside = ((one - other) ** 2)[:, :, 1:4, 2:].mean(dim=(1, 2, 3))
    torch.testing.assert_close(squared_errors(one, other, valid), inside)
    every = squared_errors(one, other, torch.ones_like(valid))
    torch.testing.assert_close(every, squared_errors(one, other))
